"""A backend that lets so many requests through at a time: sandboxes may be many more than what a server batches."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from qcode.deltas import Retrying
from qcode.messages import Assistant
from qcode.model import BackendInfo, Delta, Reachable, Request
from qcode_evals.presence import UNWATCHED, Watch


class Limited:
    """Implements `Reachable` over another one."""

    def __init__(self, backend: Reachable, requests: int, watch: Watch = UNWATCHED) -> None:
        """`watch` is told when a request fails."""
        self._backend = backend
        self._watch = watch
        self._room = asyncio.Semaphore(requests)

    @property
    def info(self) -> BackendInfo:
        return self._backend.info

    def start(self) -> None:
        """As the backend's."""
        self._backend.start()

    async def ready(self) -> BackendInfo:
        """As the backend's."""
        return await self._backend.ready()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        """As the backend's, once there is room."""
        async with self._room, aclosing(self._backend.stream(request)) as events:
            async for event in events:
                if isinstance(event, Retrying):
                    self._watch.doubt()
                yield event

    async def count_tokens(self, request: Request) -> int | None:
        """As the backend's; counting is not limited."""
        return await self._backend.count_tokens(request)

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()
