import subprocess
from pathlib import Path
from typing import Any

import pytest

from qcode_evals.dataset import Instance
from qcode_evals.grading import Grade, Verdict, judge, marked_script, section_of

TOKEN = "qcode-0123"
SCRIPT = """\
#!/bin/bash
set -uxo pipefail
printf 'before, no newline'
: '>>>>> Start Test Output'
echo 'PASSED a.py::test_one'
echo '>>>>>' 'End Test Output'; sh -c 'exit 7'
: '>>>>> End Test Output'
echo after
"""


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


def judged(section: str, exit_code: int) -> Grade:
    return judge(instance(), section, exit_code)


def test_the_marked_script_leaves_with_the_tests_exit_code_and_runs_nothing_after_them(tmp_path: Path) -> None:
    script = tmp_path / "eval.sh"
    script.write_text(marked_script(SCRIPT, TOKEN), encoding="utf-8")
    done = subprocess.run(["bash", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 7
    section = section_of(done.stdout, TOKEN)
    assert section is not None
    assert "PASSED a.py::test_one" in section.splitlines()
    assert "before" not in section
    assert "after" not in done.stdout.replace("before", "")


def test_a_script_that_rewrites_itself_changes_nothing(tmp_path: Path) -> None:
    script = tmp_path / "eval.sh"
    own = SCRIPT.replace("sh -c 'exit 7'", f"echo 'echo FORGED; exit 0' > {script}; sh -c 'exit 7'")
    script.write_text(marked_script(own, TOKEN), encoding="utf-8")
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "FORGED" not in done.stdout


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


def test_resolved_when_all_listed_tests_pass() -> None:
    grade = judged("PASSED a.py::test_one\nPASSED a.py::test_two\n", 0)
    assert grade.verdict is Verdict.RESOLVED
    assert (str(grade.fail_to_pass), str(grade.pass_to_pass)) == ("1/1", "1/1")


def test_other_tests_may_fail() -> None:
    assert judged("PASSED a.py::test_one\nPASSED a.py::test_two\nFAILED b.py::other\n", 1).verdict is Verdict.RESOLVED


def test_a_skipped_test_keeps_passing_but_does_not_begin_to() -> None:
    assert judged("PASSED a.py::test_one\nSKIPPED a.py::test_two\n", 0).verdict is Verdict.RESOLVED
    assert judged("SKIPPED a.py::test_one\nPASSED a.py::test_two\n", 0).verdict is Verdict.UNRESOLVED


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
def test_the_log_and_the_exit_code_have_to_agree(section: str, exit_code: int, why: str) -> None:
    grade = judged(section, exit_code)
    assert grade.verdict is Verdict.UNRESOLVED
    assert why in grade.reason
