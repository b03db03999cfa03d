"""From a test log, a report and an exit code to a verdict: what they agree on is believed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from qcode_evals.attempt import Evidence
from qcode_evals.grading.evidence import Report, runner_of
from qcode_evals.parsers.logparse import status_of
from qcode_evals.parsers.reading import Reading, Unreadable, read
from qcode_evals.parsers.status import Status, Statuses
from qcode_evals.patches import Removed
from qcode_evals.tasks.dataset import Instance


class Verdict(StrEnum):
    """What grading came to."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    PATCH_FAILED = "patch_failed"
    TEST_TIMEOUT = "test_timeout"


@dataclass(slots=True)
class Split:
    """Listed tests that went as they should, and those that did not."""

    success: list[str] = field(default_factory=list)
    failure: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{len(self.success)}/{len(self.success) + len(self.failure)}"


@dataclass(slots=True)
class Grade:
    """The verdict and what it rests on. `exit_code` is that of the test command, None if it did not end by itself."""

    verdict: Verdict
    reason: str
    log: str = ""
    removed: list[Removed] = field(default_factory=list)
    fail_to_pass: Split = field(default_factory=Split)
    pass_to_pass: Split = field(default_factory=Split)
    exit_code: int | None = None
    seconds: float = 0.0
    evidence: Evidence = Evidence.REPORT
    reported: bool = False
    """Whether the tests' own process reported, and can be believed."""
    statuses: Statuses = field(default_factory=dict)
    """What log and report agree on."""


def _split(names: tuple[str, ...], statuses: Statuses, said: Mapping[str, set[Status]], *, skipped: bool) -> Split:
    """`skipped`: whether a skipped test is as it should be."""
    split = Split()
    for name in names:
        status = status_of(name, statuses)
        good = status is not None and (status.passes or (skipped and status is Status.SKIPPED))
        (split.success if good and status in _said_of(name, said) else split.failure).append(name)
    return split


def _unnamed(names: tuple[str, ...], statuses: Statuses) -> Split:
    """Where the log names only tests that fail."""
    split = Split()
    for name in names:
        (split.failure if name in statuses and statuses[name].fails else split.success).append(name)
    return split


def _said_of(name: str, said: Mapping[str, set[Status]]) -> set[Status]:
    """What the report says of a listed test; a name that was cut in its parameters stands for all that begin so."""
    if name in said or name.count("[") <= name.count("]"):
        return said.get(name, set())
    return set[Status]().union(*(statuses for other, statuses in said.items() if other.startswith(name)))


async def judge(instance: Instance, section: str, exit_code: int, report: Report | None) -> Grade:
    """Resolved if log, report and exit code agree that every listed test went as it should. Raises: SandboxError."""
    try:
        reading = await read(instance.log_parser, section, report.lines if report else ())
    except Unreadable as why:
        return Grade(Verdict.UNRESOLVED, str(why), exit_code=exit_code)
    if runner_of(instance.log_parser):
        return _judge_by_report(instance, reading, exit_code, report)
    return _judge_by_log(instance, reading, exit_code)


def _judge_by_report(instance: Instance, reading: Reading, exit_code: int, report: Report | None) -> Grade:
    statuses, said = reading.last, reading.reported
    grade = Grade(
        Verdict.UNRESOLVED,
        reason="",
        fail_to_pass=_split(instance.fail_to_pass, statuses, said, skipped=False),
        pass_to_pass=_split(instance.pass_to_pass, statuses, said, skipped=True),
        exit_code=exit_code,
        reported=report is not None and report.fault is None,
        statuses={name: status for name, status in statuses.items() if status in said.get(name, set())},
    )
    if report is None:
        grade.reason = f"the test process ended with exit code {exit_code} before it had reported its results"
    elif report.fault is not None:
        grade.reason = report.fault
    elif report.exit_code not in {None, exit_code}:
        grade.reason = f"the tests reported exit code {report.exit_code}, and ended with {exit_code}"
    elif grade.fail_to_pass.failure or grade.pass_to_pass.failure:
        grade.reason = f"FAIL_TO_PASS {grade.fail_to_pass}, PASS_TO_PASS {grade.pass_to_pass}"
    elif exit_code not in {0, 1}:
        grade.reason = f"the log looks good, but the tests ended with exit code {exit_code}"
    elif exit_code == 1 and not any(status.fails for status in statuses.values()):
        grade.reason = "the tests ended with exit code 1, but their log shows no failure"
    else:
        grade.verdict = Verdict.RESOLVED
    return grade


def _judge_by_log(instance: Instance, reading: Reading, exit_code: int) -> Grade:
    """For languages without a witness: what SWE-bench does, and a test that the log calls both passed and failed did
    not pass."""
    statuses = {name: _worst(found) for name, found in reading.found.items()}
    said = {name: {status} for name, status in statuses.items()}
    if instance.eval_type == "fail_only":
        to_pass, kept = (_unnamed(names, statuses) for names in (instance.fail_to_pass, instance.pass_to_pass))
    else:
        to_pass = _split(instance.fail_to_pass, statuses, said, skipped=False)
        kept = _split(instance.pass_to_pass, statuses, said, skipped=True)
    grade = Grade(
        Verdict.UNRESOLVED, "", fail_to_pass=to_pass, pass_to_pass=kept, exit_code=exit_code, evidence=Evidence.LOG,
        statuses=statuses,
    )  # fmt: skip
    if to_pass.failure or kept.failure:
        grade.reason = f"FAIL_TO_PASS {to_pass}, PASS_TO_PASS {kept}"
    elif instance.eval_type == "fail_only" and not reading.ran:
        grade.reason = "nothing in the log says that the tests ran"
    elif exit_code and not any(status.fails for status in statuses.values()):
        grade.reason = f"the tests ended with exit code {exit_code}, but their log shows no failure"
    else:
        grade.verdict = Verdict.RESOLVED
    return grade


def _worst(found: Sequence[Status]) -> Status:
    return next((status for status in found if status.fails), found[-1])
