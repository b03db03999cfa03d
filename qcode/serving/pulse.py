"""Tells a busy server from one that hangs: a busy one answers, writes its log, or counts tokens."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pulse:
    """Asks for one token every `every_s` seconds; nothing of the server seen for `hung_s` after a question is a hang.

    A health check is not asked: it was seen to say that all is well when nothing is answered any more.
    """

    def __init__(
        self, asks: Callable[[float], Awaitable[bool]], counts: Callable[[], Awaitable[float | None]], *,
        every_s: float, hung_s: float,
    ) -> None:  # fmt: skip
        self._asks = asks
        self._counts = counts
        self._every_s = every_s
        self._hung_s = hung_s
        self._seen = self._round_ended = time.monotonic()
        self._missed = False
        self._round: asyncio.Task[None] | None = None

    def sign(self) -> None:
        """Something was seen of it."""
        self._seen = time.monotonic()
        self._missed = False

    def lost(self) -> bool:
        """Called at every poll; True when it hangs."""
        now = time.monotonic()
        if self._round is not None and self._round.done():
            self._round, self._round_ended = None, now
        if self._round is None and now - self._round_ended > self._every_s:
            self._round = asyncio.ensure_future(self._ask())
        return self._missed and now - self._seen > self._hung_s

    def close(self) -> None:
        """Ask no more."""
        if self._round is not None:
            self._round.cancel()

    async def _ask(self) -> None:
        before = await self._counts()
        if await self._asks(self._hung_s) or await self._counts() != before:
            self.sign()
        else:
            self._missed = True
