"""Judge one patch in a fresh sandbox: apply it, run the row's tests, believe what log, report and exit code agree on.

The log is cut between marks that nobody could know when the patch was written, the report comes from the tests' own
process (evidence.py), and the exit code is the one that the container tells, not one that the log claims.
"""

import asyncio
from collections.abc import Sequence

from qcode_evals.attempt import Evidence
from qcode_evals.grading import evidence
from qcode_evals.grading.canary import Canary
from qcode_evals.grading.evidence import Seal
from qcode_evals.grading.judging import Grade, Verdict, judge
from qcode_evals.parsers.reading import Unreadable, read
from qcode_evals.patches import changed_paths, protected, says_how_to_test, without_protected
from qcode_evals.tasks.dataset import Instance
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.protocol import ExecResult, Sandbox

_PATCH_FILE = "/tmp/candidate.patch"
_SCRIPT_FILE = "/tmp/eval.sh"
_APPLY_S = 120.0

# Set for agents in every sandbox; a test suite's own results depend on them (pytest's on CI).
_UNSET = "-u CI -u TERM -u PYTHONDONTWRITEBYTECODE"
_START, _END = ">>>>> Start Test Output", ">>>>> End Test Output"
_LOG_LIMIT = 50_000_000
"""Characters of a test log that are kept; what comes after is dropped, and with it the end mark."""

# As swebench 5.0.2 tries them, without its third, `--reject`: that one succeeds only where the first does.
_APPLY = ("git apply --verbose", "git apply --verbose --3way")


_KILL_STRANGERS = """\
qcode_kin=" $$ "
qcode_found=
while [[ $qcode_found != "$qcode_kin" ]]; do
  qcode_found=$qcode_kin
  for qcode_process in /proc/[0-9]*; do
    while read -r qcode_field qcode_value; do
      [[ $qcode_field == PPid: ]] || continue
      [[ $qcode_kin == *" $qcode_value "* && $qcode_kin != *" ${qcode_process#/proc/} "* ]] &&
        qcode_kin+="${qcode_process#/proc/} "
      break
    done <"$qcode_process/status"
  done
done
for qcode_process in /proc/[0-9]*; do
  [[ " KNOWN $qcode_kin " == *" ${qcode_process#/proc/} "* ]] || kill -9 "${qcode_process#/proc/}"
done"""
"""Kills all that neither was there before nor descends from this shell: what a build left running, so that nothing
watches the tests begin. It comes before `pre_test`, where a row starts the servers of its tests."""


def marked_script(
    script: str, seal: Seal, *, known: str = "", additions: Sequence[str] = (), pre_test: str | None = None
) -> str:
    """The row's script up to the end of its tests, with marks of ours, leaving with the tests' exit code.

    Before the tests it says that it is ready, and waits for the witness. In braces, so that bash has read all of it
    before the first command runs and a test cannot change what follows. `known` are the processes that stay.
    """
    lines = script.split("\n")
    start = next(index for index, line in enumerate(lines) if _START in line)
    end = next(index for index, line in enumerate(lines) if _END in line)
    servers = lines.index(pre_test, 0, start) if pre_test in lines[:start] else start
    restore = 'for qcode_option in e u x; do [[ $qcode_options == *$qcode_option* ]] && set "-$qcode_option"; done'
    return "\n".join(
        [
            "{",
            *lines[:servers],
            "{ qcode_options=$-; set +eux; } 2>/dev/null",
            f"{{\n{_KILL_STRANGERS.replace('KNOWN', known)}\n}} 2>/dev/null",
            restore,
            *lines[servers:start],
            "{ qcode_options=$-; set +eux; } 2>/dev/null",
            f"printf '\\n%s\\n' {seal.token}-ready",
            f"until [[ -e {seal.folder}/key ]]; do sleep 0.02; done",
            *additions,
            f"printf '%s\\n' {seal.token}-start",
            restore,
            *lines[start + 1 : end],
            "{ qcode_status=$?; set +x; } 2>/dev/null",
            f"printf '\\n%s\\n' {seal.token}-end",
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
    text = log.replace(f"{token}-ready\n", "").replace(f"{token}-start", _START).replace(f"{token}-end", _END)
    return text if exit_code is None else f"{text.rstrip()}\n>>>>> Test Exit Code: {exit_code}\n"


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


def tests_of(instance: Instance, patch: str = "") -> frozenset[str]:
    """The files that the row's own tests consist of; where no witness watches them, also those of `patch` that say how
    tests are run, unless the right change needs them too."""
    tests = frozenset(instance.environment.test_files) | frozenset(changed_paths(instance.test_patch))
    if not patch or evidence.runner_of(instance.log_parser):
        return tests
    return tests | (set(filter(says_how_to_test, changed_paths(patch))) - set(changed_paths(instance.patch)))


class _Log:
    """Output of the box as it comes, up to a limit; what comes after is dropped, and with it the end mark."""

    def __init__(self, mark: str) -> None:
        """`mark` sets `ready`."""
        self.ready = asyncio.Event()
        self._mark = mark
        self._tail = ""
        self._pieces: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        if not self.ready.is_set():
            if self._mark in self._tail + text:
                self.ready.set()
            self._tail = (self._tail + text)[-len(self._mark) :]
        if self._size < _LOG_LIMIT:
            self._pieces.append(text)
            self._size += len(text)

    @property
    def text(self) -> str:
        return "".join(self._pieces)


async def _processes(sandbox: Sandbox) -> str:
    """Numbers of the processes in the box, in one line. Raises: SandboxError."""
    return (await sandbox.exec("cd /proc && echo [0-9]*", timeout_s=_APPLY_S)).output.strip()


async def grade(instance: Instance, patch: str, sandbox: Sandbox) -> Grade:
    """Judge a patch in a sandbox that was just opened from the row's image, and that is thrown away afterwards.

    Raises: SandboxError if the sandbox fails; that says nothing about the patch.
    """
    if sandbox.name.startswith("host"):
        raise SandboxError("patches are graded only where processes are apart from this machine's: use a container")
    known = await _processes(sandbox)
    kept, removed = without_protected(patch, tests=tests_of(instance, patch))
    if kept.strip() and (why := await _apply(instance, kept, sandbox)):
        return Grade(Verdict.PATCH_FAILED, why, removed=removed)
    seal = Seal()
    log = _Log(f"{seal.token}-ready\n")
    additions = evidence.lines(seal, instance.log_parser)
    pre_test = instance.environment.pre_test
    script = marked_script(instance.eval_script, seal, known=known, additions=additions, pre_test=pre_test)
    await sandbox.write(_SCRIPT_FILE, script.encode("utf-8", "surrogateescape"))
    result = await _run(instance, sandbox, seal, log)
    grade = await _verdict(instance, log.text, seal, result)
    if grade.verdict is Verdict.RESOLVED and grade.evidence is Evidence.LOG:
        await _confirm(instance, sandbox, grade)
    grade.removed = removed
    grade.seconds = result.duration_s
    grade.log = _official_log(grade.log or log.text, seal.token, grade.exit_code)
    return grade


async def _confirm(instance: Instance, sandbox: Sandbox, grade: Grade) -> None:
    """Run the tests once more with one behind them that must fail. Raises: SandboxError."""
    canary = Canary()
    additions = canary.additions(tests_of(instance))
    if not additions:
        return
    known = await _processes(sandbox)  # what the first run left behind was ended with it
    seal = Seal()
    log = _Log(f"{seal.token}-ready\n")
    pre_test = instance.environment.pre_test
    script = marked_script(instance.eval_script, seal, known=known, additions=additions, pre_test=pre_test)
    await sandbox.write(_SCRIPT_FILE, script.encode("utf-8", "surrogateescape"))
    result = await _run(instance, sandbox, seal, log)
    section = section_of(log.text, seal.token)
    if result.timed_out or section is None:
        fault: str | None = "with a test that must fail behind them, the tests broke off"
    else:
        try:
            statuses = (await read(instance.log_parser, section)).last
            fault = canary.fault(statuses, result.exit_code, instance.eval_script)
        except Unreadable as why:
            fault = str(why)
    if fault is None:
        grade.evidence = Evidence.CANARY
    elif fault:
        grade.verdict, grade.reason = Verdict.UNRESOLVED, fault


async def _run(instance: Instance, sandbox: Sandbox, seal: Seal, log: _Log) -> ExecResult:
    """Run the script, and send the witness as soon as it is ready for it. Raises: SandboxError."""
    running = asyncio.ensure_future(
        sandbox.exec(
            f"exec env {_UNSET} bash {_SCRIPT_FILE}",
            timeout_s=instance.environment.timeout_s,
            cwd=instance.environment.workdir,
            on_output=log.add,
        )
    )
    ready = asyncio.ensure_future(log.ready.wait())
    try:
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await evidence.send_witness(sandbox, seal, instance.log_parser)
        return await running
    finally:
        running.cancel()
        ready.cancel()
        await asyncio.wait({running, ready})


async def _verdict(instance: Instance, log: str, seal: Seal, result: ExecResult) -> Grade:
    if result.timed_out:
        return Grade(Verdict.TEST_TIMEOUT, f"the tests did not end within {instance.environment.timeout_s:g} s")
    section = section_of(log, seal.token)
    if section is None:
        memory = " (out of memory)" if result.oom_killed else ""
        return Grade(Verdict.UNRESOLVED, f"the tests broke off with exit code {result.exit_code}{memory}")
    plain, report = evidence.report_in(section, seal)
    grade = await judge(instance, plain, result.exit_code, report)
    grade.log = log.replace(section, plain) if report else log
    return grade
