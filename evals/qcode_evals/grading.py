"""Judge one patch in a fresh sandbox: apply it, run the row's tests, read what they say.

The log is cut between marks that nobody could know when the patch was written, and the exit code of the tests is the
one that the container reports, not one that the log claims.
"""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from qcode_evals.dataset import Instance
from qcode_evals.logparse import Status, Statuses, parse, status_of
from qcode_evals.patches import Removed, changed_paths, protected, without_protected
from qcode_sandbox.protocol import ExecResult, Sandbox

_PATCH_FILE = "/tmp/candidate.patch"
_SCRIPT_FILE = "/tmp/eval.sh"
_APPLY_S = 120.0

# Set for agents in every sandbox; a test suite's own results depend on them (pytest's on CI).
_UNSET = "-u CI -u TERM -u PYTHONDONTWRITEBYTECODE"
_LOG_LIMIT = 50_000_000
"""Characters of a test log that are kept; what comes after is dropped, and with it the end mark."""

# As swebench 5.0.2 tries them, without its third, `--reject`: that one succeeds only where the first does.
_APPLY = ("git apply --verbose", "git apply --verbose --3way")


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


def marked_script(script: str, token: str) -> str:
    """The row's script up to the end of its tests, with marks of ours, leaving with the tests' exit code.

    In braces, so that bash has read all of it before the first command runs and a test cannot change what follows.
    """
    lines = script.split("\n")
    start = next(index for index, line in enumerate(lines) if ">>>>> Start Test Output" in line)
    end = next(index for index, line in enumerate(lines) if ">>>>> End Test Output" in line)
    return "\n".join(
        [
            "{",
            *lines[:start],
            f"printf '\\n%s\\n' {token}-start",
            *lines[start + 1 : end],
            "qcode_status=$?",
            f"printf '\\n%s\\n' {token}-end",
            'exit "$qcode_status"',
            "}",
            "",
        ]
    )


def section_of(log: str, token: str) -> str | None:
    """What stands between the two marks, or None unless each stands there exactly once, in order."""
    lines = log.split("\n")
    starts = [index for index, line in enumerate(lines) if line.rstrip("\r") == f"{token}-start"]
    ends = [index for index, line in enumerate(lines) if line.rstrip("\r") == f"{token}-end"]
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        return None
    return "\n".join(lines[starts[0] + 1 : ends[0]])


def _official_log(log: str, token: str, exit_code: int | None) -> str:
    """The log with SWE-bench's marks in place of ours."""
    text = log.replace(f"{token}-start", ">>>>> Start Test Output").replace(f"{token}-end", ">>>>> End Test Output")
    return text if exit_code is None else f"{text.rstrip()}\n>>>>> Test Exit Code: {exit_code}\n"


def _split(names: tuple[str, ...], statuses: Statuses, *, skipped_is_fine: bool) -> Split:
    split = Split()
    for name in names:
        status = status_of(name, statuses)
        good = status is not None and (status.passes or (skipped_is_fine and status is Status.SKIPPED))
        (split.success if good else split.failure).append(name)
    return split


def judge(instance: Instance, section: str, exit_code: int) -> Grade:
    """Resolved if every listed test went as it should and the exit code fits what the log says."""
    statuses = parse(instance.log_parser, section)
    grade = Grade(
        Verdict.UNRESOLVED,
        reason="",
        fail_to_pass=_split(instance.fail_to_pass, statuses, skipped_is_fine=False),
        pass_to_pass=_split(instance.pass_to_pass, statuses, skipped_is_fine=True),
        exit_code=exit_code,
    )
    if grade.fail_to_pass.failure or grade.pass_to_pass.failure:
        grade.reason = f"FAIL_TO_PASS {grade.fail_to_pass}, PASS_TO_PASS {grade.pass_to_pass}"
    elif exit_code not in {0, 1}:
        grade.reason = f"the log looks good, but the tests ended with exit code {exit_code}"
    elif exit_code == 1 and not any(status.fails for status in statuses.values()):
        grade.reason = "the tests ended with exit code 1, but their log shows no failure"
    else:
        grade.verdict = Verdict.RESOLVED
    return grade


async def _apply(instance: Instance, patch: str, sandbox: Sandbox) -> str | None:
    """Apply a patch to the tree; what went wrong, or None."""
    await sandbox.write(_PATCH_FILE, patch.encode("utf-8", "surrogateescape"))
    listing = await sandbox.exec(f"git apply --numstat -z {_PATCH_FILE}", timeout_s=_APPLY_S)
    if listing.exit_code == 0:
        for entry in filter(None, listing.output.split("\0")):
            path = entry.rpartition("\t")[2]
            if why := protected(path, tests=tests_of(instance)):
                return f"the patch hides a change of {path} ({why})"
    output = ""
    for command in _APPLY:
        result = await sandbox.exec(f"{command} {_PATCH_FILE}", timeout_s=_APPLY_S)
        if result.exit_code == 0:
            return None
        output = output or result.output
        await sandbox.exec("git reset -q --hard && git clean -fdq", timeout_s=_APPLY_S)
    errors = [line for line in output.splitlines() if line.startswith("error:") and "searching for" not in line]
    return (errors or output.splitlines() or ["git apply failed"])[0]


def tests_of(instance: Instance) -> frozenset[str]:
    """The files that the row's own tests consist of."""
    return frozenset(instance.environment.test_files) | frozenset(changed_paths(instance.test_patch))


async def grade(instance: Instance, patch: str, sandbox: Sandbox) -> Grade:
    """Judge a patch in a sandbox that was just opened from the row's image, and that is thrown away afterwards.

    Raises: SandboxError if the sandbox fails; that says nothing about the patch.
    """
    kept, removed = without_protected(patch, tests=tests_of(instance))
    if kept.strip() and (why := await _apply(instance, kept, sandbox)):
        return Grade(Verdict.PATCH_FAILED, why, removed=removed)
    token = f"qcode-{secrets.token_hex(16)}"
    await sandbox.write(_SCRIPT_FILE, marked_script(instance.eval_script, token).encode())
    pieces: list[str] = []
    size = 0

    def keep(text: str) -> None:
        nonlocal size
        if size < _LOG_LIMIT:
            pieces.append(text)
            size += len(text)

    limit = instance.environment.timeout_s
    result = await sandbox.exec(
        f"exec env {_UNSET} bash {_SCRIPT_FILE}",
        timeout_s=limit,
        cwd=instance.environment.workdir,
        on_output=keep,
    )
    log = "".join(pieces)
    verdict = _verdict(instance, log, token, result)
    verdict.removed = removed
    verdict.seconds = result.duration_s
    verdict.log = _official_log(log, token, verdict.exit_code)
    return verdict


def _verdict(instance: Instance, log: str, token: str, result: ExecResult) -> Grade:
    if result.timed_out:
        return Grade(Verdict.TEST_TIMEOUT, f"the tests did not end within {instance.environment.timeout_s:g} s")
    section = section_of(log, token)
    if section is None:
        memory = " (out of memory)" if result.oom_killed else ""
        return Grade(Verdict.UNRESOLVED, f"the tests broke off with exit code {result.exit_code}{memory}")
    return judge(instance, section, result.exit_code)
