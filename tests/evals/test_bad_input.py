"""What a user can get wrong is said in one line, with the exit code for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcode_evals.cli import main

DATA = str(Path(__file__).with_name("data") / "instances.jsonl")


def made(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def terminal(folder: Path, about: str) -> str:
    task = folder / "tasks" / "x"
    files = {"task.toml": about, "instruction.md": "x", "environment/Dockerfile": "FROM x\n", "tests/test.sh": ""}
    made(task, **files)
    return str(folder / "tasks")


def polyglot(folder: Path, about: str) -> str:
    made(folder / "poly/python/exercises/practice/a/.meta", **{"config.json": about})
    return str(folder / "poly")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--dataset", "TERMINAL:verifier = 3\n", "--agent", "gold", "--out", "o"], 2, "verifier is no table"),
        (["--dataset", "TERMINAL:[verifier]\ntimeout_sec = 'x'", "--agent", "gold", "--out", "o"], 2,
         "'x' is no number"),
        (["--dataset", "TERMINAL:[[", "--agent", "gold", "--out", "o"], 2, "is no task of Terminal-Bench's form"),
        (["adapt", "polyglot", "POLYGLOT:{}", "--out", "o"], 2, "does not name the files of the exercise"),
        (["adapt", "polyglot", "POLYGLOT:[", "--out", "o"], 2, "does not name the files of the exercise"),
        (["adapt", "quixbugs", "nowhere", "--out", "o"], 2, "is no checkout of QuixBugs"),
        (["mien", "x"], 2, "no command 'mien': did you mean mine?"),
        (["mine", ".", "--out", "o", "--test-command", "x", "--log-parser", "gotset"], 2, "no log parser 'gotset'"),
        (["mine", ".", "--out", "o", "--test-command", "x", "--log-parser", "marked"], 2, "only tests that fail"),
        (["mine", ".", "--out", "o", "--log-parser", "gotest"], 2, "--test-command: give both"),
        (["mine", ".", "--out", "o", "--test-command", " "], 2, "--test-command is empty"),
        (["mine", ".", "--out", "o"], 2, "cannot read the history of"),
        (["compare", "torn", "torn"], 2, "torn holds no finished attempt"),
        (["report", "torn"], 2, "torn holds no finished attempt"),
        (["export", "nowhere", "--out", "o"], 2, "nowhere holds no results"),
        (["submission", "torn", "target", "--name", "x"], 2, "torn holds no finished attempt"),
        (["official", "torn", "--dataset", DATA], 2, "torn holds no finished attempt"),
        (["--dataset", DATA, "--agent", "nobody", "--out", "o"], 2, "no agent 'nobody'"),
        (["--dataset", DATA, "--agent", "aider", "--out", "o"], 2, "needs a server of the model"),
        (["--dataset", DATA, "--agent", "gold", "--out", "torn/attempts.jsonl"], 2, "cannot write to"),
        (["--dataset", DATA, "--agent", "gold", "--out", "o", "--instance", "nobody"], 2, "no instance nobody"),
        (["--dataset", "cut.jsonl", "--agent", "gold", "--out", "o"], 2, "cut.jsonl, line 1: not JSON"),
        (["--dataset", "/dev/zero", "--agent", "gold", "--out", "o"], 2, "the data set /dev/zero: it is not a file"),
        (["--dataset", "cut.parquet", "--agent", "gold", "--out", "o"], 2, "cannot read the data set cut.parquet"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(
    arguments: list[str], code: int, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    torn = '{"instance_id": "a", "key": '
    made(tmp_path, **{"torn/attempts.jsonl": torn, "cut.jsonl": '{"a": "', "cut.parquet": "PAR1xx"})
    for place, argument in enumerate(arguments):
        kind, _, text = argument.partition(":")
        if kind in {"TERMINAL", "POLYGLOT"}:
            arguments = arguments.copy()
            arguments[place] = (terminal if kind == "TERMINAL" else polyglot)(tmp_path, text)
    assert main(arguments) == code
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("qcode-evals: ")
    assert says in line


def test_rows_are_not_mined_into_what_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["mine", str(tmp_path), "--out", str(tmp_path / "no" / "rows.jsonl")]) in {2, 4}
    assert "Traceback" not in capfd.readouterr().err


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    line = '{"instance_id":"a","key":"k","agent":"a","model":"m","outcome":"resolved","resolved":true}\n'
    (tmp_path / "attempts.jsonl").write_text(line, encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-P", "-m", "qcode_evals", "table", str(tmp_path)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, cwd=tmp_path, env=buffered, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--price", "1,2"], "'1,2' is not three prices, such as"),
        (["--price", "nan,1,1"], "'nan' is no number of 0 or more"),
        (["--disk-floor", "nan"], "'nan' is no number of 0 or more"),
        (["--temperature", "-1"], "'-1' is no number from 0 to 5"),
        (["--workers", "0"], "'0' is no whole number above 0"),
    ],
)
def test_a_number_that_is_none_is_said_with_what_it_should_be(
    arguments: list[str], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--dataset", str(tmp_path / "rows.jsonl"), "--agent", "gold", "--out", str(tmp_path / "o"), *arguments])
    assert ended.value.code == 2
    assert says in capfd.readouterr().err.splitlines()[-1]
