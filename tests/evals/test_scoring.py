import json
from pathlib import Path
from typing import Any

import pytest

from qcode.messages import Usage
from qcode_evals.attempt import Attempt, Outcome, Seconds
from qcode_evals.cli import main
from qcode_evals.reports.compare import compared
from qcode_evals.reports.scoring import Price, mixed, score, summary
from qcode_evals.reports.table import row as table_row
from qcode_evals.running.controls import Controls
from qcode_evals.tasks.dataset import load

DATA = Path(__file__).with_name("data") / "instances.jsonl"


def attempt(name: str, outcome: Outcome, **more: Any) -> Attempt:
    return Attempt(
        instance_id=name,
        agent="qcode",
        model="m",
        outcome=outcome,
        resolved=outcome is Outcome.RESOLVED,
        **{"key": "k"} | more,
    )


def test_attempts_of_two_runs_in_one_folder_are_told() -> None:
    alike = [attempt("a", Outcome.RESOLVED, settings="x"), attempt("b", Outcome.RESOLVED, settings="x")]
    older = attempt("c", Outcome.RESOLVED)
    assert mixed([*alike, older]) == "", "what an older version left does not say"
    other = [*alike, attempt("d", Outcome.UNRESOLVED, settings="y")]
    assert mixed(other).startswith("not one run: 2 and 1 attempts were made with different settings")
    assert mixed(other) in summary(other)
    assert f"B: {mixed(other)}" in compared(alike, other)
    assert "(not one run)" in table_row("x", other)
    assert "(not one run)" not in table_row("x", alike)


def test_what_is_not_the_agents_is_not_in_its_denominator() -> None:
    attempts = [
        attempt("a", Outcome.RESOLVED),
        attempt("b", Outcome.UNRESOLVED),
        attempt("c", Outcome.AGENT_OOM),
        attempt("d", Outcome.INFRA_ERROR),
        attempt("e", Outcome.INVALID_TASK),
    ]
    lines = summary(attempts)
    assert lines[0].startswith("1 of 3 resolved: 33.3% (95 % interval 6.1% to 79.2%)")
    assert "1 of 3 agent_oom" in lines[1]
    assert "1 of 5 infra_error" in lines[1]
    assert "1 of 5 invalid_task" in lines[1]


def test_what_rests_on_a_log_alone_is_said() -> None:
    attempts = [
        attempt("a", Outcome.RESOLVED, evidence="report"),
        attempt("b", Outcome.RESOLVED, evidence="log"),
        attempt("c", Outcome.RESOLVED, evidence="canary"),
        attempt("d", Outcome.UNRESOLVED, evidence="log"),
    ]
    assert any(
        line.startswith("evidence: 1 of 3 resolved rest on log and exit code alone") for line in summary(attempts)
    )
    assert not any("evidence" in line for line in summary([attempts[0], *attempts[2:]]))


def test_several_attempts_at_each_task() -> None:
    results = {"a": (True, True), "b": (True, False), "c": (False, False), "d": (True, True)}
    attempts = [
        attempt(name, Outcome.RESOLVED if good else Outcome.UNRESOLVED, repeat=repeat)
        for name, both in results.items()
        for repeat, good in enumerate(both)
    ]
    assert score(attempts).pass_at_1.value == pytest.approx(5 / 8)
    assert "of 2 attempts each: pass@2 75.0%, pass^2 50.0%" in summary(attempts)


def test_tokens_their_speed_and_their_price() -> None:
    usage = Usage(prompt_tokens=3000, cached_tokens=1000, completion_tokens=500, requests=4)
    seconds = Seconds(agent=20.0, prefill=4.0, decode=10.0, tools=3.0)
    lines = summary([attempt("a", Outcome.RESOLVED, usage=usage, seconds=seconds)], price=Price(1.0, 0.1, 4.0))
    assert (
        "tokens: 2,000 read, 1,000 cached, 500 written, in 4 requests; 500 tokens/s read; 50 tokens/s written" in lines
    )
    assert "cost: 0.0041, 0.0041 a resolved task" in lines
    assert (
        lines[-1] == "seconds: image 0.0, agent 20.0, grading 0.0 (of the agent's: prefill 4.0, decode 10.0, tools 3.0)"
    )


def run(folder: Path, resolved: str, unresolved: str) -> str:
    folder.mkdir()
    outcomes = dict.fromkeys(resolved, Outcome.RESOLVED) | dict.fromkeys(unresolved, Outcome.UNRESOLVED)
    lines = [attempt(name, outcome).model_dump_json() + "\n" for name, outcome in outcomes.items()]
    (folder / "attempts.jsonl").write_text("".join(lines), encoding="utf-8")
    return str(folder)


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = run(tmp_path / "a", "abc", "defghijkl"), run(tmp_path / "b", "bcdefghij", "akm")
    assert main(["compare", first, second]) == 0
    said = capsys.readouterr().out
    assert "on the 11 tasks of both: A alone 1, B alone 7, both 2, neither 1" in said
    assert "B - A: +54.5 points" in said
    assert "p = 0.070: no difference is shown" in said
    assert "only B: d, e, f, g, h, i, j" in said


def test_runs_without_a_common_task_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run(tmp_path / "a", "a", ""), run(tmp_path / "b", "b", "")]) == 2
    assert "no task in common" in capsys.readouterr().err
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2


def test_controls_say_what_is_no_task(tmp_path: Path) -> None:
    path = tmp_path / "state" / "controls.jsonl"
    controls = Controls(path)
    rows = load(DATA)
    good, broken, easy = rows
    for row, agent, resolved in (
        (good, "gold", True), (good, "gold", False), (good, "empty", False), (good, "qcode", True),
        (broken, "gold", False), (easy, "gold", True), (easy, "empty", True),
    ):  # fmt: skip
        outcome = Outcome.RESOLVED if resolved else Outcome.UNRESOLVED
        made = attempt(row.instance_id, outcome)
        controls.add(row, made.model_copy(update={"agent": agent}))
    controls.add(good, attempt(good.instance_id, Outcome.INFRA_ERROR).model_copy(update={"agent": "gold"}))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"row": "torn')
    again = Controls(path)
    assert str(again.of(good)) == "gold 1/2, empty 0/1"
    assert again.of(good).flaky
    assert again.of(good).invalid is None
    assert again.of(broken).invalid == "its own patch resolved it in 0 of 1 runs here"
    assert again.of(easy).invalid == "no patch resolved it in 1 of 1 runs here"
    assert again.summary(rows) == (
        "controls: gold at least 1 times on 3 of 3 rows, 1 flaky, 2 no task; "
        "flaky: pallets__flask-5063; no task: quixbugs__gcd, quixbugs__sieve"
    )
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["agent"] == "gold"
    assert "never run" in Controls(tmp_path / "none").summary(rows)
