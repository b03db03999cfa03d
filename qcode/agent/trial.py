"""Tries the examples of a task after each change, and takes a change back that helped nothing.

For a small model: it changes one line at a time and is often wrong at first. A wrong change that stays, and a request
to run something, cost it more than they teach.
"""

import posixpath
from collections.abc import Awaitable, Callable, Iterable

from qcode.agent.tryout import Stated, Tried, stated, wrong
from qcode.messages import ToolCall
from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.clean import visible
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect

RUNS = "python3 -c 'import code_of_the_repository'"
"""What trying examples comes to, for the policy."""

_SHOWN = 200


class Trial:
    """The examples of one task. Without any that fails and says what it should give, nothing is tried or taken back."""

    def __init__(self) -> None:
        self._stated = Stated()
        self._wrong = 0
        self.solved = False
        """Whether every example came out right after the last change."""

    async def prepare(self, task: str, paths: Iterable[str], sandbox: Sandbox) -> None:
        """Find the examples of the task and of the Python files that it names. Raises: SandboxError."""
        self._stated = await stated(task, paths, sandbox)
        if any(example.expected is not None for example in self._stated.examples):
            self._wrong = wrong(await self._stated.try_out(sandbox))

    async def around(
        self, call: ToolCall, effect: Effect, run: Callable[[], Awaitable[ToolResult]], sandbox: Sandbox
    ) -> ToolResult:
        """Run a call; if it is an edit, try the examples after it. Raises: SandboxError."""
        path = call.arguments.get("path")
        if not self._wrong or effect is not Effect.WRITE or not isinstance(path, str):
            return await run()
        before = await _bytes(sandbox, path)
        result = await run()
        if result.status is not Status.OK:
            return result
        tried = await self._stated.try_out(sandbox)
        now = wrong(tried)
        if not tried:
            return result
        if now < self._wrong:
            self._wrong, self.solved = now, now == 0
            return _with(result, _words(tried), solved=self.solved)
        await _put_back(sandbox, path, before)
        words = f"That did not solve it, so {posixpath.basename(path)} is as it was. With it:\n{_words(tried)}"
        return _with(result.model_copy(update={"status": Status.ERROR}), words, solved=False)


def _words(tried: list[Tried]) -> str:
    bad = [one for one in tried if one.example.expected is not None and not one.right]
    if not bad:
        return "The examples of the task come out right now. Call finish."
    said = [f">>> {one.example.source}\ngives {_cut(one.got)}, and should give {one.example.expected}" for one in bad]
    return "\n".join(said[:2])


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _with(result: ToolResult, words: str, *, solved: bool) -> ToolResult:
    extra = {**result.extra, "tried": True, "solved": solved}
    return result.model_copy(update={"content": f"{result.content}\n\n{visible(words)}", "extra": extra})


async def _bytes(sandbox: Sandbox, path: str) -> bytes | None:
    try:
        return await sandbox.read(path)
    except SandboxFileError:
        return None


async def _put_back(sandbox: Sandbox, path: str, before: bytes | None) -> None:
    if before is not None:
        await sandbox.write(path, before)
    else:
        await sandbox.exec(["rm", "-f", "--", path], timeout_s=10)
