"""Sandboxes that are ready before they are asked for."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.specs import SandboxSpec

_CHECK_S = 5.0

_Opened = tuple[AbstractAsyncContextManager[Sandbox], Sandbox]


class Pool:
    """Keeps `size` started sandboxes of one spec, each used once, with what goes in already inside: a change of the
    source after that is not seen. What is left is ended with the context."""

    def __init__(self, spec: SandboxSpec, *, size: int) -> None:
        self._spec = spec
        self._size = size
        self._ready: deque[asyncio.Task[_Opened]] = deque()

    async def __aenter__(self) -> "Pool":
        self._fill()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        left, self._ready = self._ready, deque()
        self._size = 0
        await to_the_end(asyncio.gather(*(_end(task) for task in left)))

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Sandbox]:
        """A sandbox of the caller's own, gone when the context is left. Raises: SandboxError."""
        context, box = await self._next()
        try:
            yield box
        finally:
            await to_the_end(context.__aexit__(None, None, None))

    async def filled(self) -> None:
        """Wait until all that are kept are ready. Raises: SandboxError."""
        await asyncio.gather(*(asyncio.shield(task) for task in self._ready))

    async def _next(self) -> _Opened:
        while True:
            task = self._ready.popleft() if self._ready else asyncio.create_task(_open(self._spec))
            was_kept = task.done()
            self._fill()
            try:
                opened = await asyncio.shield(task)
            except asyncio.CancelledError:
                await to_the_end(_end(task))
                raise
            if not was_kept or await _answers(opened[1]):
                return opened
            # It was removed from outside while it waited.
            await _end(task)

    def _fill(self) -> None:
        while len(self._ready) < self._size:
            self._ready.append(asyncio.create_task(_open(self._spec)))


async def _open(spec: SandboxSpec) -> _Opened:
    context = open_sandbox(spec)
    return context, await context.__aenter__()


async def _answers(box: Sandbox) -> bool:
    try:
        return (await box.exec("exit 0", timeout_s=_CHECK_S)).exit_code == 0
    except SandboxError:
        return False


async def _end(task: "asyncio.Task[_Opened]") -> None:
    """Let a sandbox end that nobody uses, also one that is being started."""
    if not task.done():
        task.cancel()
    with contextlib.suppress(SandboxError, asyncio.CancelledError):
        context, _ = await task
        await context.__aexit__(None, None, None)
