import base64
import hashlib
import hmac
import zlib
from typing import Any

import pytest

from qcode_evals.attempt import Evidence
from qcode_evals.grading import fresh as grading
from qcode_evals.grading.evidence import Report, Seal, report_in
from qcode_evals.grading.fresh import section_of
from qcode_evals.grading.judging import Grade, Verdict, judge
from qcode_evals.tasks.dataset import Instance

SEAL = Seal()
TOKEN = SEAL.token
SCRIPT = "a\n: '>>>>> Start Test Output'\nb\n: '>>>>> End Test Output'\nc\n"


def instance(**changes: Any) -> Instance:
    return Instance.model_validate(
        {
            "instance_id": "x",
            "repo": "own/x",
            "problem_statement": "x",
            "patch": "",
            "test_patch": "",
            "FAIL_TO_PASS": ["a.py::test_one"],
            "PASS_TO_PASS": ["a.py::test_two"],
            "log_parser": "parse_log_pytest",
            "eval_script": SCRIPT,
            "environment": {
                "base": "debian-bookworm-py3.11",
                "source": {"files": {"a.py": ""}, "tree": "0" * 40},
            },
        }
        | changes
    )


def report(*results: tuple[str, str], **changes: Any) -> Report:
    said: dict[str, Any] = {
        "runner": "pytest",
        "results": results,
        "faults": (),
        "canaries": ("failed", "failed"),
        "exit_code": 0,
    }
    return Report.model_validate(said | changes)


async def judged(section: str, ended: int, **changes: Any) -> Grade:
    """With a report that says what the log says."""
    lines = [line.split(" ") for line in section.splitlines()]
    results = tuple((name, status) for status, name in lines)
    return await judge(instance(), section, ended, report(*results, **{"exit_code": ended} | changes))


@pytest.mark.parametrize(
    "log",
    [
        "",
        f"{TOKEN}-start\nPASSED a",
        f"{TOKEN}-end\n{TOKEN}-start\n",
        f"{TOKEN}-start\n{TOKEN}-end\n{TOKEN}-end\n",
        ">>>>> Start Test Output\nPASSED a\n>>>>> End Test Output\n",
    ],
)
def test_without_exactly_one_pair_of_marks_there_is_no_result(log: str) -> None:
    assert section_of(log, TOKEN) is None


async def test_resolved_when_all_listed_tests_pass() -> None:
    grade = await judged("PASSED a.py::test_one\nPASSED a.py::test_two\n", 0)
    assert grade.verdict is Verdict.RESOLVED
    assert (str(grade.fail_to_pass), str(grade.pass_to_pass)) == ("1/1", "1/1")


async def test_other_tests_may_fail() -> None:
    assert (
        await judged("PASSED a.py::test_one\nPASSED a.py::test_two\nFAILED b.py::other\n", 1)
    ).verdict is Verdict.RESOLVED


async def test_a_skipped_test_keeps_passing_but_does_not_begin_to() -> None:
    assert (await judged("PASSED a.py::test_one\nSKIPPED a.py::test_two\n", 0)).verdict is Verdict.RESOLVED
    assert (await judged("SKIPPED a.py::test_one\nPASSED a.py::test_two\n", 0)).verdict is Verdict.UNRESOLVED


@pytest.mark.parametrize(
    ("section", "exit_code", "why"),
    [
        ("PASSED a.py::test_one\n", 0, "FAIL_TO_PASS 1/1, PASS_TO_PASS 0/1"),
        ("PASSED a.py::test_one\nPASSED a.py::test_two\n", 1, "shows no failure"),
        ("PASSED a.py::test_one\nPASSED a.py::test_two\n", 3, "exit code 3"),
        ("PASSED a.py::test_one\nPASSED a.py::test_two\n", 137, "exit code 137"),
        ("", 0, "FAIL_TO_PASS 0/1"),
    ],
)
async def test_the_log_and_the_exit_code_have_to_agree(section: str, exit_code: int, why: str) -> None:
    grade = await judged(section, exit_code)
    assert grade.verdict is Verdict.UNRESOLVED
    assert why in grade.reason


GOOD = "PASSED a.py::test_one\nPASSED a.py::test_two\n"


async def test_without_a_report_nothing_passed() -> None:
    grade = await judge(instance(), GOOD, 0, None)
    assert grade.verdict is Verdict.UNRESOLVED
    assert (str(grade.fail_to_pass), str(grade.pass_to_pass)) == ("0/1", "0/1")
    assert "before it had reported" in grade.reason


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exit_code": 1}, "reported exit code 1, and ended with 0"),
        ({"faults": ("the test runner was changed: x",)}, "the test runner was changed: x"),
        ({"canaries": ("passed", "failed")}, "a test that must fail was passed"),
        ({"canaries": ("failed", "skipped")}, "a test that must fail was skipped"),
        ({"canaries": ()}, "a test that must fail was not run"),
        ({"results": (("a.py::test_one", "FAILED"), ("a.py::test_two", "PASSED"))}, "FAIL_TO_PASS 0/1"),
        ({"results": (("a.py::test_one", "PASSED"),)}, "PASS_TO_PASS 0/1"),
    ],
)
async def test_the_report_has_to_agree_too(changes: dict[str, Any], why: str) -> None:
    grade = await judged(GOOD, 0, **changes)
    assert grade.verdict is Verdict.UNRESOLVED
    assert why in grade.reason


def signed(seal: Seal, said: Report) -> str:
    body = base64.b64encode(zlib.compress(said.model_dump_json().encode()))
    return f"{seal.token}-report {hmac.new(seal.key.encode(), body, hashlib.sha256).hexdigest()} {body.decode()}"


def test_a_report_is_believed_only_with_the_key_and_only_once() -> None:
    said = report(("a.py::test_one", "PASSED"))
    line = signed(SEAL, said)
    assert report_in(f"a\n\n{line}\nb", SEAL) == ("a\nb", said)
    assert report_in(f"a\n{line}\nb", Seal())[1] is None
    assert report_in(f"{line}\n{line}", SEAL)[1] is None
    assert report_in(f"{line[:-8]}AAAAAAA=", SEAL)[1] is None
    other = Seal(token=SEAL.token)
    assert report_in(f"{signed(other, report())}\n{line}", SEAL)[1] == said, "a forged one changes nothing"


GO = {"log_parser": "parse_log_gotest", "FAIL_TO_PASS": ["TestAdd"], "PASS_TO_PASS": ["TestZero"]}
PASSING = "--- PASS: TestAdd (0.00s)\n--- PASS: TestZero (0.00s)\n"


@pytest.mark.parametrize(
    ("log", "ended", "verdict"),
    [
        (PASSING, 0, Verdict.RESOLVED),
        (PASSING + "--- FAIL: TestOther (0.00s)\n", 1, Verdict.RESOLVED),
        (PASSING, 1, Verdict.UNRESOLVED),
        (PASSING, 2, Verdict.UNRESOLVED),
        (PASSING + "--- FAIL: TestAdd (0.00s)\n" + PASSING, 1, Verdict.UNRESOLVED),
        ("--- PASS: TestAdd (0.00s)\n", 0, Verdict.UNRESOLVED),
        ("--- SKIP: TestAdd (0.00s)\n--- PASS: TestZero (0.00s)\n", 0, Verdict.UNRESOLVED),
        ("--- PASS: TestAdd (0.00s)\n--- SKIP: TestZero (0.00s)\n", 0, Verdict.RESOLVED),
    ],
)
async def test_without_a_witness_log_and_exit_code_have_to_agree(log: str, ended: int, verdict: Verdict) -> None:
    grade = await judge(instance(**GO), log, ended, None)
    assert (grade.verdict, grade.evidence) == (verdict, Evidence.LOG)


@pytest.mark.parametrize(
    ("log", "ended", "verdict"),
    [
        ("5 specs, 0 failures\n", 0, Verdict.RESOLVED),
        ("", 0, Verdict.UNRESOLVED),
        ("Executed 0 of 0\n", 0, Verdict.UNRESOLVED),
        ("5 specs, 1 failures\n1) one\n", 1, Verdict.UNRESOLVED),
        ("5 specs, 1 failures\n1) something else\n", 1, Verdict.RESOLVED),
        ("5 specs, 1 failures\n", 1, Verdict.UNRESOLVED),
    ],
)
async def test_where_only_failures_are_named_the_log_has_to_say_that_tests_ran(
    log: str, ended: int, verdict: Verdict
) -> None:
    row = instance(log_parser="parse_log_marked", eval_type="fail_only", FAIL_TO_PASS=["one"], PASS_TO_PASS=["two"])
    assert (await judge(row, log, ended, None)).verdict is verdict


def test_what_says_how_tests_are_run_is_graded_only_where_the_right_change_needs_it() -> None:
    def change(path: str) -> str:
        return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n"

    patch = change("package.json") + change("src/a.js") + change(".cargo/config.toml")
    assert grading.tests_of(instance(**GO), patch) == {"package.json", ".cargo/config.toml"}
    assert grading.tests_of(instance(**GO, patch=change("package.json")), patch) == {".cargo/config.toml"}
    assert grading.tests_of(instance(), patch) == frozenset(), "a witness watches these tests"
