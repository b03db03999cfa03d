"""Requests that are with the model's server at a time: sandboxes may be many more than what it answers well."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from qcode.backends.retry import RetryPolicy, with_retries
from qcode.deltas import Retrying
from qcode.errors import Malformed, Overloaded, Unavailable
from qcode.messages import Assistant, Usage
from qcode.model import BackendInfo, Delta, Reachable, Request
from qcode_evals.server.presence import UNWATCHED, Watch
from qcode_evals.server.queues import Queue
from qcode_evals.server.tuning import Tuner, work_of

QUEUE_LOOK_S = 2.0
"""Between two looks at the server's queue."""
LONGEST_PAUSE_S = 60.0
"""Of what a server may ask for in Retry-After."""
NEVER = RetryPolicy(waits_s=(), overloaded_waits_s=())
"""Of a backend whose requests are asked again here, where there is a place for them again."""


class Place(Protocol):
    """Of one request; told what came of it."""

    @property
    def begun(self) -> float:
        """When it was there, by the monotonic clock."""
        ...

    def answered(self, usage: Usage) -> None:
        """It came to its end."""
        ...

    def refused(self, retry_after_s: float | None) -> None:
        """The server said "later"."""
        ...


class Places(Protocol):
    """Limits how many requests are with a server at a time."""

    @property
    def found(self) -> str:
        """How many the server took, in words; "" where that was given."""
        ...

    def one(self) -> AbstractAsyncContextManager[Place]:
        """A place for one request, once there is one."""
        ...

    async def aclose(self) -> None:
        """Find out no more."""
        ...


class InFlight:
    """Implements `Places`: `most` for all attempts, or with a tuner as many as the server takes well."""

    def __init__(
        self, most: int, *, tuner: Tuner | None = None, queue: Queue | None = None, look_s: float = QUEUE_LOOK_S
    ) -> None:
        """`queue` is looked at every `look_s` seconds."""
        self._most = most
        self._tuner = tuner
        self._queue = queue
        self._look_s = look_s
        self._looking: asyncio.Task[None] | None = None
        self._taken = 0
        self._paused_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Requests at a time, now."""
        return self._tuner.limit if self._tuner is not None else self._most

    @property
    def found(self) -> str:
        """What the tuner came to, in words; "" without one, and before the first answer."""
        if self._tuner is None or not self._tuner.answers:
            return ""
        why = f": {self._tuner.why}" if self._tuner.why else ""
        return f"requests at a time: {self._tuner.limit} (of at most {self._most}{why})"

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Place]:
        """A place for one request, once there is one."""
        if self._queue is not None and self._looking is None:
            self._looking = asyncio.ensure_future(self._look(self._queue))
        await self._take()
        try:
            yield _Place(self, time.monotonic())
        finally:
            self._change(-1)

    async def aclose(self) -> None:
        """Look at the queue no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self._queue is not None:
            await self._queue.aclose()

    async def _take(self) -> None:
        while True:
            if (pause_s := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(pause_s)
            elif self._taken < self.limit:
                self._change(1)
                return
            else:
                turn = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                try:
                    await turn
                except asyncio.CancelledError:
                    # Its place is another's, where it had been given one.
                    self._wake()
                    raise

    def _change(self, by: int) -> None:
        self._taken += by
        if self._tuner is not None:
            self._tuner.now(self._taken)
        self._wake()

    def _wake(self) -> None:
        """Have as many look again as there are places."""
        free = self.limit - self._taken
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

    async def _look(self, queue: Queue) -> None:
        while queue.told:
            if self._taken and (found := await queue.look()) is not None and self._tuner is not None:
                self._tuner.queue(*found)
                self._wake()
            await asyncio.sleep(self._look_s)

    def _answered(self, usage: Usage) -> None:
        if self._tuner is not None:
            self._tuner.answered(work_of(usage))
            self._wake()

    def _refused(self, retry_after_s: float | None, begun: float) -> None:
        if self._tuner is None:
            return
        pause_s = min(retry_after_s or 0.0, LONGEST_PAUSE_S)
        self._paused_until = max(self._paused_until, time.monotonic() + pause_s)
        self._tuner.refused(others=self._taken - 1, begun=begun)


def in_flight(most: int, *, base_url: Callable[[], str], key: str | None) -> InFlight:
    """Places that are tuned to the server at the base URL, "" as long as that is not known."""
    return InFlight(most, tuner=Tuner(most), queue=Queue(base_url, key))


@dataclass(frozen=True, slots=True)
class _Place:
    """Implements `Place`."""

    of: InFlight
    begun: float

    def answered(self, usage: Usage) -> None:
        """It came to its end."""
        self.of._answered(usage)

    def refused(self, retry_after_s: float | None) -> None:
        """The server said "later"."""
        self.of._refused(retry_after_s, self.begun)


class Limited:
    """Implements `Reachable` over another one."""

    def __init__(
        self, backend: Reachable, room: Places, watch: Watch = UNWATCHED, *, retry: RetryPolicy = NEVER
    ) -> None:
        """`watch` is told when a request fails. `retry` is for a backend that does not ask again by itself: what waits
        to be asked again holds no place."""
        self._backend = backend
        self._room = room
        self._watch = watch
        self._retry = retry

    @property
    def info(self) -> BackendInfo:
        return self._backend.info

    def start(self) -> None:
        """As the backend's."""
        self._backend.start()

    async def ready(self) -> BackendInfo:
        """As the backend's."""
        return await self._backend.ready()

    def stream(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        """As the backend's, once there is room."""
        return with_retries(lambda: self._once(request), self._retry)

    async def count_tokens(self, request: Request) -> int | None:
        """As the backend's; counting is not limited."""
        return await self._backend.count_tokens(request)

    async def aclose(self) -> None:
        """Close the backend."""
        await self._room.aclose()
        await self._backend.aclose()

    async def _once(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        async with self._room.one() as place:
            try:
                async with aclosing(self._backend.stream(request)) as events:
                    async for event in events:
                        if isinstance(event, Assistant):
                            place.answered(event.usage)
                        elif isinstance(event, Retrying):
                            self._watch.doubt()
                        yield event
            except Overloaded as error:
                place.refused(error.retry_after_s)
                raise
            except (Unavailable, Malformed):
                self._watch.doubt()
                raise
