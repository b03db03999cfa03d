"""What tests say of a change, in a sandbox of its own: a given command, the repository's tests, the examples of the
task, other attempts' tests.

Nothing here knows of tests that are held back from the agent.
"""

import asyncio
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from qcode.agent.mentions import named_paths
from qcode.agent.tryout import Stated, stated, wrong
from qcode.app.probes import SECONDS_EACH, Answers, probes
from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox

_PYTEST = "python3 -B -m pytest -q -rA --tb=no --color=no -p no:cacheprovider"
_PASSED = re.compile(r"^(?:PASSED|XFAIL) (\S.*?)(?: - .*)?$", re.MULTILINE)
_ONLY_PASSED = """
log=$(mktemp) && {command} >"$log" 2>&1
code=$?
grep -E '^(PASSED|XFAIL) ' "$log"
rm -f "$log"
exit "$code"
"""
_APPLY_S = 120.0
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

Reproductions = Mapping[tuple[int, str], str]
"""Tests that attempts wrote: text by attempt and path."""


@dataclass(frozen=True, slots=True)
class TestResults:
    """What the tests said in one tree. `verified`: the user's command left with 0, None without one. `passed`: of the
    repository's tests. `right`: how many examples came out right, of how many. `answers`: to calls like them.
    `reproductions`: whether each passed."""

    __test__ = False

    applies: bool = True
    verified: bool | None = None
    passed: frozenset[str] = frozenset()
    right: tuple[int, int] = (0, 0)
    answers: Answers = ()
    reproductions: Mapping[tuple[int, str], bool] = field(default_factory=dict)


class Examples:
    """The examples of a task as the untouched tree has them: a change may not say itself what is right."""

    def __init__(self) -> None:
        self._found: asyncio.Future[Stated] = asyncio.get_running_loop().create_future()

    async def find(self, task: str, sandbox: Sandbox) -> None:
        """Look for them in a sandbox with that tree. Raises: SandboxError."""
        self._found.set_result(await stated(task, named_paths(task), sandbox))

    def none(self) -> None:
        """There are none, unless they were found."""
        if not self._found.done():
            self._found.set_result(Stated())

    async def known(self) -> Stated:
        """They, once they were looked for."""
        return await asyncio.shield(self._found)


@dataclass(frozen=True, slots=True)
class Examination:
    """What is tried in each tree. `seconds` bound each command. Without `examples`, none are run."""

    verify: str | None
    reproductions: Reproductions
    seconds: float
    examples: Examples | None = None

    async def of(self, patch: str, sandbox: Sandbox, *, own_tests: bool) -> TestResults:
        """Try a patch in a new sandbox; `own_tests` runs all of the repository's. Raises: SandboxError."""
        if patch and not await self._applied(patch, sandbox):
            return TestResults(applies=False, verified=None if self.verify is None else False)
        verified = None
        if self.verify is not None:
            ran = await sandbox.exec(self.verify, timeout_s=self.seconds)
            verified = ran.exit_code == 0
        passed = await self._own_tests(sandbox) if own_tests else frozenset()
        right, answers = await self._examples(sandbox) if self.examples is not None else ((0, 0), ())
        tried = {}
        for key, text in self.reproductions.items():
            tried[key] = await self._reproduction(key, text, sandbox)
        return TestResults(True, verified, passed, right, answers, tried)

    async def _examples(self, sandbox: Sandbox) -> tuple[tuple[int, int], Answers]:
        assert self.examples is not None, "the caller looked"
        known = await self.examples.known()
        told = await known.try_out(sandbox)
        promised = sum(one.example.expected is not None for one in told)
        asked = await known.try_out(sandbox, probes(known.examples), seconds_each=SECONDS_EACH) if told else []
        # Where an object lies says nothing of what it is.
        answers = tuple(None if one.failed else _ADDRESS.sub("", one.got) for one in asked)
        return (promised - wrong(told), promised), answers

    async def _applied(self, patch: str, sandbox: Sandbox) -> bool:
        data = patch.encode("utf-8", "surrogateescape")
        ran = await sandbox.exec("git apply --whitespace=nowarn -", timeout_s=_APPLY_S, stdin=data)
        return ran.exit_code == 0

    async def _own_tests(self, sandbox: Sandbox) -> frozenset[str]:
        """Names of the repository's tests that passed; none when they did not run to their end."""
        ran = await sandbox.exec(_ONLY_PASSED.format(command=_PYTEST), timeout_s=self.seconds)
        complete = ran.exit_code in {0, 1} and not ran.timed_out and not ran.truncated
        return frozenset(_PASSED.findall(ran.output)) if complete else frozenset()

    async def _reproduction(self, key: tuple[int, str], text: str, sandbox: Sandbox) -> bool:
        """Whether an attempt's tests pass here; they are taken away again, or what stood in their place put back."""
        _, path = key
        try:
            before: bytes | None = await sandbox.read(path)
        except SandboxFileError:
            before = None
        await sandbox.write(path, text.encode("utf-8", "surrogateescape"))
        quoted = shlex.quote(path)
        ran = await sandbox.exec(f"{_PYTEST} {quoted}", timeout_s=self.seconds)
        if before is None:
            await sandbox.exec(f"rm -f -- {quoted}", timeout_s=_APPLY_S)
        else:
            await sandbox.write(path, before)
        return ran.exit_code == 0
