"""Runs beside each other: killed, stopped, continued, and told in one table."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai_script import serving
from waiting import wait_until

from qcode.app.options import RunOptions
from qcode.messages import Usage
from qcode_evals.attempt import Attempt, Outcome, Seconds
from qcode_evals.cli import main
from qcode_evals.running.making import Made
from qcode_evals.running.plans import Plan
from qcode_evals.running.results import Results

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).with_name("data") / "instances.jsonl"
FIX = "sed -i 's/gcd(a % b, b)/gcd(b, a % b)/' python_programs/gcd.py"


@pytest.fixture
def gcd(tmp_path: Path) -> Path:
    """A data set of one row."""
    rows = DATA.read_text(encoding="utf-8").splitlines()
    path = tmp_path / "gcd.jsonl"
    path.write_text(next(row for row in rows if '"quixbugs__gcd"' in row) + "\n", encoding="utf-8")
    return path


def scripted(path: Path, command: str) -> str:
    call = f"<tool_call>\n<function=bash>\n<parameter=command>\n{command}\n</parameter>\n</function>\n</tool_call>"
    answers = [{"text": call}, {"text": "Done.", "repeat": 9}]
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    return f"scripted:{path}"


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def containers_of(pid: int) -> list[str]:
    listing = ["docker", "ps", "-a", "--filter", "label=qcode", "--format", '{{.Label "qcode.owner"}}']
    owners = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    return [owner for owner in owners if owner.startswith(f"{pid}/")]


@pytest.mark.docker
def test_a_comparison_that_is_killed_goes_on_and_ends_in_a_table(gcd: Path, tmp_path: Path) -> None:
    model = scripted(tmp_path / "model.jsonl", FIX)
    command = [
        sys.executable, "-P", str(ROOT / "benchmarks" / "side_by_side.py"), "toolsets", "--dataset", str(gcd),
        "--model", model, "--out", str(tmp_path), "--workers", "1", "--runs", "1", "--only", "toolsets-swe",
        "--only", "toolsets-qwen-code",
    ]  # fmt: skip
    first = tmp_path / "toolsets-swe" / "attempts.jsonl"
    with subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as killed:
        wait_until(lambda: lines(first) or killed.poll() is not None)
        os.killpg(killed.pid, signal.SIGKILL)
    before = lines(first)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "quixbugs__gcd resolved" in done.stderr
    assert done.stderr.count("(earlier)") >= 1
    assert lines(first) == before, "it was not made again"
    rows = [[cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines() if line.startswith("| t")]
    assert [row[1:5] for row in rows] == [
        ["toolsets-swe", "1", "1: 100.0%", "20.7% to 100.0%"],
        ["toolsets-qwen-code", "1", "1: 100.0%", "20.7% to 100.0%"],
    ]
    assert "A is toolsets-swe, B is toolsets-qwen-code" in done.stdout
    assert not containers_of(killed.pid)


@pytest.mark.docker
def test_a_run_stops_when_it_was_told_to(gcd: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = scripted(tmp_path / "model.jsonl", "sleep 86399")
    out = tmp_path / "out"
    arguments = ["--dataset", str(gcd), "--agent", "qcode", "--model", model, "--out", str(out), "--stop-after", "2"]
    assert main(arguments) == 3
    assert f"2 s are over; what is finished is in {out}, --resume continues" in capfd.readouterr().err
    assert not containers_of(os.getpid())


async def test_what_decides_whether_an_attempt_is_made_again_is_known_before_it() -> None:
    async with serving({"text": "hi"}) as (url, _):
        agent = Plan("qcode", RunOptions(repo=Path(), base_url=url), 1).agent()
        try:
            await agent.ready()
            assert agent.model == "scripted"
        finally:
            await agent.aclose()


def test_a_model_that_is_not_there_is_told_before_anything_is_tried(
    gcd: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:9/v1"
    code = main(["--dataset", str(gcd), "--agent", "qcode", "--base-url", url, "--out", str(tmp_path / "out")])
    said = capfd.readouterr().err.splitlines()
    assert code == 4
    assert said[-1].startswith(f"qcode-evals: Nothing answers at {url}")
    assert not lines(tmp_path / "out" / "attempts.jsonl")


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "out"
    written = Results(folder, resume=False)
    for repeat, outcome in enumerate((Outcome.RESOLVED, Outcome.UNRESOLVED, Outcome.INFRA_ERROR)):
        attempt = Attempt(
            instance_id="a", repeat=repeat, key="k", agent="qcode", model="m", outcome=outcome,
            resolved=outcome is Outcome.RESOLVED, seconds=Seconds(agent=10.0 * (repeat + 1)),
            usage=Usage(prompt_tokens=1000, cached_tokens=400, completion_tokens=30, requests=2),
        )  # fmt: skip
        written.add(Made(attempt, "x", None))
    yield folder


def test_a_table_has_a_row_a_run(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(results)]) == 0
    head, rule, row = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    cells = [cell.strip() for cell in row.split("|")][1:-1]
    assert cells[:2] == ["out", "2 (and 1 infra_error)"]
    assert cells[2] == "1: 50.0%"
    assert cells[4:] == ["600", "400", "30", "2.0", "15.0", "15.0"], "of those that count"
