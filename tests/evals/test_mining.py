"""From commits to rows; what needs containers is tested with one real commit."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from calls import committed
from histories import commit, git
from waiting import wait_until

from qcode.errors import ConfigError
from qcode_evals.cli import main
from qcode_evals.mining.candidates import Candidate, Setup, candidate
from qcode_evals.mining.checking import lists
from qcode_evals.mining.history import History
from qcode_evals.parsers.status import Status
from qcode_evals.tasks.dataset import Instance, load
from qcode_evals.tasks.trees import Files, tree_hash, write_tree

P, F = Status.PASSED, Status.FAILED


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "my repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    test = "from pkg import add\ndef test_zero(): assert add(0, 0) == 0\n"
    commit(folder, "Begin", {"pkg/__init__.py": "def add(a, b):\n    return a - b\n", "tests/test_pkg.py": test})
    commit(folder, "Only words", {"README.md": "é\n"})
    fixed = {
        "pkg/__init__.py": "def add(a, b):\n    return a + b\n",
        "tests/test_pkg.py": test + "def test_add(): assert add(1, 2) == 3\n",
        "tests/test_more.py": "from pkg import add\ndef test_one(one): assert add(one, one) == 2\n",
        "tests/conftest.py": "import pytest\n@pytest.fixture\ndef one(): return 1\n",
    }
    commit(folder, "Add rather than subtract\n\nadd(1, 2) was -1.", fixed)
    return folder


def test_a_commit_that_changes_code_and_tests_is_a_candidate(repo: Path) -> None:
    history = History(repo)
    newest, words = history.commits(9)
    assert candidate(history, words, Setup("x")) == "changes no tests"
    found = candidate(history, newest, Setup("x"))
    assert isinstance(found, Candidate)
    instance = Instance.model_validate(found.row)
    assert instance.problem_statement == "Add rather than subtract\n\nadd(1, 2) was -1."
    assert "+    return a + b" in instance.patch
    assert "tests/" not in instance.patch
    assert "+def test_add()" in instance.test_patch
    assert instance.environment.test_files == ("tests/test_more.py", "tests/test_pkg.py")
    assert "python -m pytest -rA -p no:cacheprovider tests/test_more.py tests/test_pkg.py" in instance.eval_script
    assert "+def one()" in instance.test_patch, "a fixture belongs to the tests"
    assert instance.environment.source.tree == git(repo, "rev-parse", "HEAD~1^{tree}")


def test_a_merge_is_what_it_brings(repo: Path) -> None:
    git(repo, "checkout", "-q", "-b", "topic")
    commit(repo, "Double", {"pkg/more.py": "def double(a):\n    return 2 * a\n"})
    test = "from pkg.more import double\ndef test_double(): assert double(2) == 4\n"
    commit(repo, "Test doubling", {"tests/test_double.py": test})
    git(repo, "checkout", "-q", "main")
    commit(repo, "Other words", {"README.md": "words\n"})
    git(repo, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    history = History(repo)
    newest, *_ = history.commits(9)
    assert newest.message == "Merge topic\n\nTest doubling\n\nDouble"
    found = candidate(history, newest, Setup("x"))
    assert isinstance(found, Candidate)
    assert "def double" in found.row["patch"]
    assert "README" not in found.row["patch"]
    assert found.row["base_commit"] == git(repo, "rev-parse", "HEAD^1")


def test_a_tree_is_named_as_git_names_it(tmp_path: Path) -> None:
    files = {"a.b": "1", "a/x": "2", "a0": "3", "a/y/z": "é", "b": ""}
    git(tmp_path, "init", "-q")
    commit(tmp_path, "x", files)
    assert tree_hash(files) == git(tmp_path, "rev-parse", "HEAD^{tree}")


def test_a_tree_of_more_than_text_is_written_as_git_has_it(repo: Path, tmp_path: Path) -> None:
    (repo / "logo.png").write_bytes(b"\x89PNG\0\xff")
    (repo / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (repo / "run.sh").chmod(0o755)
    (repo / "latest").symlink_to("pkg/__init__.py")
    commit(repo, "More than text", {"pkg/__init__.py": "x = 1\n", "tests/test_pkg.py": "def test(): pass\n"})
    commit(repo, "Again", {"pkg/__init__.py": "x = 2\n", "tests/test_pkg.py": "def test(): assert 1\n"})
    history = History(repo)
    found = candidate(history, next(history.commits(1)), Setup("x"))
    assert isinstance(found, Candidate)
    source = Instance.model_validate(found.row).environment.source
    assert isinstance(source, Files)
    (tmp_path / "made").mkdir()
    write_tree(tmp_path / "made", source)
    git(tmp_path / "made", "init", "-q")
    git(tmp_path / "made", "add", "-A", "-f")
    assert git(tmp_path / "made", "write-tree") == git(repo, "rev-parse", "HEAD~1^{tree}")


@pytest.mark.parametrize("inner", ["a/b", "a"])
def test_nothing_is_written_through_a_link(inner: str) -> None:
    link = {"base64": "L3RtcA==", "mode": "120000"}
    with pytest.raises(ValueError, match="cannot both be files"):
        Files.model_validate({"files": {inner: "x"}, "blobs": {"a": link}})
    with pytest.raises(ValueError, match="not a path inside"):
        Files.model_validate({"files": {"x": "x"}, "blobs": {"../a": link}})


def test_one_that_says_no_number_is_asked_again(repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--commits", "--limit", "--runs"):
        with pytest.raises(SystemExit):
            main(["mine", str(repo), "--out", str(tmp_path / "x"), option, "0"])
        assert f"argument {option}: '0' is no whole number above 0" in capsys.readouterr().err


def test_rows_that_are_there_are_kept(repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    newest = git(repo, "rev-parse", "HEAD")
    there = json.dumps({"instance_id": f"local__my-repo-{newest[:12]}"}) + "\n"
    rows.write_text(there + '{"instance_id": "tor', encoding="utf-8")
    assert main(["mine", str(repo), "--out", str(rows)]) == 2
    assert "continue it with --resume" in capsys.readouterr().err
    assert main(["mine", str(repo), "--out", str(rows), "--resume"]) == 0
    said = capsys.readouterr()
    assert rows.read_text(encoding="utf-8") == there, "what was torn off is gone"
    assert "1 tasks in" in said.out
    assert "Only words" in said.err
    assert "Add rather" not in said.err, "it is a task already"


def test_who_gets_no_task_is_told_what_may_help(repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(repo, "W" * 70, {"README.md": "words\n"})
    assert main(["mine", str(repo), "--out", str(tmp_path / "x"), "--commits", "1"]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"{git(repo, 'rev-parse', 'HEAD')[:12]} {'W' * 59}…: changes no tests",
        "1 changes no tests: --test-files names tests that do not look like tests",
    ]
    assert said.out.strip() == f"0 tasks in {tmp_path / 'x'}; 1 changes no tests"
    alone = committed(tmp_path / "alone", {"a.py": "x = 1\n"})
    assert main(["mine", str(alone), "--out", str(tmp_path / "y")]) == 1
    said = capsys.readouterr()
    assert said.err == "the history has no commit that has one before it: a clone that is not shallow has them\n"


def test_without_an_engine_that_is_what_is_said(
    repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert main(["mine", str(repo), "--out", str(tmp_path / "x")]) == 4
    assert capsys.readouterr().err.splitlines()[-1].startswith("qcode-evals: no Docker engine answers")


def test_nothing_of_the_repository_is_run(repo: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name in ("core.fsmonitor", "diff.external", "diff.x.textconv", "filter.x.smudge", "core.pager"):
        git(repo, "config", name, f"touch {canary}; true")
    (repo / ".git/info/attributes").write_text("* diff=x filter=x\n", encoding="utf-8")
    history = History(repo)
    assert any(isinstance(candidate(history, each, Setup("x")), Candidate) for each in history.commits(9))
    assert not canary.exists()


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the history"):
        next(History(tmp_path).commits(1))


def test_only_what_goes_the_same_way_each_time_is_listed() -> None:
    before = [{"kept": P, "flaky": P, "breaks": P}, {"kept": P, "flaky": F, "breaks": P}]
    after = [
        {"kept": P, "flaky": P, "new": P, "late": P, "breaks": F},
        {"kept": P, "flaky": P, "new": P, "late": F, "breaks": F},
    ]
    assert lists(before, after) == (["new"], ["kept"])


@pytest.mark.docker
def test_an_interrupt_is_told_in_a_line_and_leaves_no_container(repo: Path, tmp_path: Path) -> None:
    slow = {"pkg/__init__.py": "x = 1\n", "tests/test_pkg.py": "import time\ntime.sleep(600)\n"}
    commit(repo, "Slow", slow)
    command = [sys.executable, "-P", "-m", "qcode_evals", "mine", str(repo), "--out", str(tmp_path / "rows.jsonl")]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as mining:
        wait_until(lambda: _containers_of(mining.pid))
        mining.send_signal(signal.SIGINT)
        _, said = mining.communicate()
    assert mining.returncode == 130
    assert said.splitlines()[1:] == ["qcode-evals: interrupted; what is written stays"]
    assert not _containers_of(mining.pid)


def _containers_of(pid: int) -> list[str]:
    listing = ["docker", "ps", "-a", "--filter", "label=qcode", "--format", '{{.Label "qcode.owner"}}']
    owners = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    return [owner for owner in owners if owner.startswith(f"{pid}/")]


@pytest.mark.docker
def test_a_mined_task_is_one_that_its_own_patch_resolves(repo: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    assert main(["mine", str(repo), "--out", str(rows), "--runs", "1", "--limit", "1"]) == 0
    (instance,) = load(rows)
    assert instance.fail_to_pass == ("tests/test_more.py::test_one", "tests/test_pkg.py::test_add")
    assert instance.pass_to_pass == ("tests/test_pkg.py::test_zero",)
    arguments = ["--dataset", str(rows), "--agent", "gold", "--expect-resolved", "all"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))["resolved_instances"] == 1
