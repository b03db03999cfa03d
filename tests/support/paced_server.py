"""An OpenAI-compatible server on the loopback interface that takes only so many requests well.

It counts what it works on. Beyond `takes` it says "later" (429). With `batch` it works on so many, has the others wait,
and tells both at /metrics as vLLM does. With `speed` it has a clock of its own, in which an answer takes its work over
the speed for so many at a time; it answers as soon as `wanted()` requests are there, so that how fast the machine is
changes nothing.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from openai_script import module

_Base: Any = module().OpenAIServer
WORK = 3.0
"""Of one answer: what its usage counts as."""
PAUSE_S = 0.002


class PacedServer(_Base):  # type: ignore[misc]
    """`present` requests are with it, `most` at a time so far; `answered` and `refused` count; `clock`: seconds."""

    def __init__(
        self, *, takes: int | None = None, batch: int | None = None, speed: Callable[[int], float] | None = None,
        wanted: Callable[[], int] = lambda: 1,
    ) -> None:  # fmt: skip
        usage = {"prompt_tokens": 0, "completion_tokens": int(WORK), "total_tokens": int(WORK)}
        super().__init__([{"text": "done", "usage": usage}])
        self.takes, self.batch = takes, batch
        self.present = self.most = self.answered = self.refused = 0
        self.clock = 0.0
        self.wanted = wanted
        self._speed = speed
        self._queue: deque[asyncio.Future[None]] = deque()
        self._told()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Any) -> bool:
        if self.takes is not None and self.present >= self.takes:
            self.refused += 1
            said = {"error": {"message": "too many requests"}}
            return bool(await self._plain(writer, 429, said, {"Retry-After": "0"}))
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self.present += 1
        self.most = max(self.most, self.present)
        self._told()
        try:
            asyncio.get_running_loop().call_later(PAUSE_S, self._next)
            await turn
        finally:
            if turn in self._queue:
                self._queue.remove(turn)
            self.present -= 1
            self.answered += 1
            self._told()
        return bool(await super()._answer(reader, writer, reply))

    def _next(self) -> None:
        """Let the oldest go, as soon as as many are there as are to be."""
        if not self._queue:
            return
        if self._speed is not None:
            if len(self._queue) < self.wanted():
                asyncio.get_running_loop().call_later(PAUSE_S, self._next)
                return
            self.clock += WORK / self._speed(len(self._queue))
        turn = self._queue.popleft()
        if not turn.done():
            turn.set_result(None)

    def _told(self) -> None:
        if self.batch is not None:
            running = min(self.present, self.batch)
            text = f'vllm:num_requests_running{{engine="0"}} {running:.1f}\n'
            text += f'vllm:num_requests_waiting{{engine="0"}} {self.present - running:.1f}\n'
            self._routes["/metrics"] = (200, text)


@contextlib.asynccontextmanager
async def pacing(**ways: Any) -> AsyncIterator[tuple[str, PacedServer]]:
    """Base URL and server, until the context is left."""
    server = PacedServer(**ways)
    try:
        yield await server.start(), server
    finally:
        await server.stop()
