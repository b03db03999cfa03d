"""Whether the model's server is there: looked at once for all attempts, and waited for when it went away.

What tells it is one question of one token, asked when a request failed. A server that does not answer in time, or that
says "later", is busy: only one that cannot be reached, or whose engine fails at any question, is lost.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qcode.errors import QcodeError

PATIENCE_S = 600.0
"""Seconds that a lost server is waited for; one that is supervised, as by `qcode serve`, loads its model in them."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
"""Between two looks at a lost server."""
MOST_HITS = 5
"""So often an attempt is made again for the server's sake: what it asks may be what ends the server."""


class ServerLost(QcodeError):
    """For the user: the model's server went away and did not come back; the run is stopped."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look found: whether the server answered, and if not, why it is lost, or "" where it may only be busy."""

    answers: bool
    lost: str = ""


THERE, BUSY = Sight(True), Sight(False)

Look = Callable[[], Awaitable[Sight]]
"""Asks the server one question; does not raise."""


class Watch:
    """Looks at the server for all attempts of this process: one look at a time, whoever wants to know.

    `losses` counts the looks that found it lost and `why` is the last one's reason, so that an attempt sees afterwards
    that the server went away in its time.
    """

    def __init__(self, ask: Look | None) -> None:
        """`ask` is None where there is no server."""
        self._ask = ask
        self._looking: asyncio.Task[Sight] | None = None
        self.losses = 0
        self.why = ""

    async def look(self) -> Sight:
        """The present look, or a new one."""
        if self._ask is None:
            return THERE
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look(self._ask))
        return await asyncio.shield(self._looking)

    def doubt(self) -> None:
        """A request failed: look, beside whatever is done about that."""
        if self._ask is not None and (self._looking is None or self._looking.done()):
            self._looking = asyncio.ensure_future(self._look(self._ask))

    async def aclose(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self, ask: Look) -> Sight:
        sight = await ask()
        if sight.lost:
            self.losses += 1
            self.why = sight.lost
        return sight


UNWATCHED = Watch(None)
"""For an agent without a server."""


class Outage:
    """Waits for a lost server, once for all attempts of a run. `note` gets a line when it begins and when it ends."""

    def __init__(self, *, patience_s: float = PATIENCE_S, note: Callable[[str], None] | None = None) -> None:
        self._patience_s = patience_s
        self._note = note or (lambda line: None)
        self._waiting: asyncio.Task[None] | None = None
        self._hits: Counter[object] = Counter()

    def again(self, attempt: object) -> bool:
        """The server went away under this attempt: whether it is to be made once more."""
        self._hits[attempt] += 1
        return self._hits[attempt] <= MOST_HITS

    async def over(self, look: Look) -> None:
        """Return when the server answers, at once where it does. Raises: ServerLost."""
        if self._waiting is None or (self._waiting.done() and self._waiting.exception() is None):
            self._waiting = asyncio.ensure_future(self._wait(look))
        await asyncio.shield(self._waiting)

    async def passed(self) -> None:
        """Return when nobody waits for the server. Raises: ServerLost."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)

    async def aclose(self) -> None:
        """Wait no more."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait([self._waiting])
            self._waiting = None

    async def _wait(self, look: Look) -> None:
        sight = await look()
        if not sight.lost:
            return
        began, pause_s, why = time.monotonic(), FIRST_PAUSE_S, sight.lost
        self._note(
            f"waiting up to {self._patience_s:g} s for the model's server, what it broke off is made again: {why}"
        )
        while (left_s := began + self._patience_s - time.monotonic()) > 0:
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
            sight = await look()
            if sight.answers:
                self._note(f"the model's server answers again, after {time.monotonic() - began:.0f} s")
                return
            why = sight.lost or why
        raise ServerLost(
            f"the model's server did not come back within {self._patience_s:g} s; what is finished is kept for "
            f"--resume ({why})"
        )
