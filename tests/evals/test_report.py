import json
from pathlib import Path
from typing import Any

import pytest

from qcode.errors import ConfigError
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.grading.judging import Grade, Split, Verdict
from qcode_evals.running.making import Made
from qcode_evals.running.results import Results

IDS = ["a", "b", "c", "d", "e", "f"]


def attempt(name: str, outcome: Outcome, **more: Any) -> Attempt:
    return Attempt(
        instance_id=name,
        key="k",
        agent="qcode",
        model="m",
        outcome=outcome,
        resolved=outcome is Outcome.RESOLVED,
        **more,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def filled(folder: Path) -> Results:
    results = Results(folder, resume=False)
    good = Grade(Verdict.RESOLVED, "", log="the log\n", fail_to_pass=Split(["t1"]), pass_to_pass=Split(["t2"]))
    results.add(Made(attempt("c", Outcome.EMPTY_PATCH), "", None))
    results.add(Made(attempt("a", Outcome.RESOLVED), "diff a\n", good))
    results.add(Made(attempt("b", Outcome.AGENT_LIMIT), "diff b\n", Grade(Verdict.UNRESOLVED, "no")))
    results.add(Made(attempt("d", Outcome.PATCH_FAILED), "junk", Grade(Verdict.PATCH_FAILED, "no")))
    results.add(Made(attempt("e", Outcome.INFRA_ERROR, reason="engine gone"), None, None))
    return results


def test_report_as_swe_bench_writes_it(tmp_path: Path) -> None:
    report = filled(tmp_path).finish(IDS)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert report == {
        "total_instances": 6,
        "completed_instances": 2,
        "empty_patch_instances": 1,
        "submitted_instances": 4,
        "resolved_instances": 1,
        "unresolved_instances": 1,
        "infra_failure_instances": 1,
        "ambiguous_failure_instances": 0,
        "error_instances": 1,
        "completed_ids": ["a", "b"],
        "incomplete_ids": ["e", "f"],
        "empty_patch_ids": ["c"],
        "submitted_ids": ["a", "b", "c", "d"],
        "resolved_ids": ["a"],
        "unresolved_ids": ["b"],
        "infra_failure_ids": ["e"],
        "ambiguous_failure_ids": [],
        "error_ids": ["d"],
        "failure_reasons": {"e": "engine gone"},
        "schema_version": 2,
    }


def test_predictions_and_logs_as_swe_bench_writes_them(tmp_path: Path) -> None:
    filled(tmp_path).finish(IDS)
    assert lines(tmp_path / "predictions.jsonl")[0] == {
        "instance_id": "a",
        "model_name_or_path": "m",
        "model_patch": "diff a\n",
    }
    assert [line["instance_id"] for line in lines(tmp_path / "predictions.jsonl")] == ["a", "b", "c", "d"]
    assert (tmp_path / "logs/a/patch.diff").read_text(encoding="utf-8") == "diff a\n"
    assert (tmp_path / "logs/a/test_output.txt").read_text(encoding="utf-8") == "the log\n"
    report = json.loads((tmp_path / "logs/a/report.json").read_text(encoding="utf-8"))["a"]
    assert report["resolved"] is True
    assert report["tests_status"]["FAIL_TO_PASS"] == {"success": ["t1"], "failure": []}


def test_a_killed_run_is_continued(tmp_path: Path) -> None:
    filled(tmp_path)
    for name in ("attempts.jsonl", "predictions.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"instance_id": "f", "mod')
    with pytest.raises(ConfigError, match="--resume"):
        Results(tmp_path, resume=False)
    again = Results(tmp_path, resume=True)
    assert again.finished("a", 0, "k") is not None
    assert again.finished("a", 0, "another key") is None
    assert again.finished("e", 0, "k") is None, "what failed for the infrastructure is done again"
    assert again.finished("f", 0, "k") is None
    again.add(Made(attempt("f", Outcome.UNRESOLVED), "diff f\n", None))
    again.add(Made(attempt("e", Outcome.RESOLVED), "diff e\n", None))
    report = again.finish(IDS)
    assert report["resolved_ids"] == ["a", "e"]
    assert report["infra_failure_ids"] == []
    assert [line["instance_id"] for line in lines(tmp_path / "attempts.jsonl")] == IDS
    assert [line["instance_id"] for line in lines(tmp_path / "predictions.jsonl")] == IDS


def test_a_run_over_some_instances_keeps_the_others(tmp_path: Path) -> None:
    filled(tmp_path).finish(IDS)
    again = Results(tmp_path, resume=True)
    again.add(Made(attempt("f", Outcome.RESOLVED), "diff f\n", None))
    assert again.finish(["f"])["resolved_ids"] == ["a", "f"]
    assert {line["instance_id"] for line in lines(tmp_path / "attempts.jsonl")} == set(IDS)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot write to"):
        Results(tmp_path / "file" / "out", resume=False)
