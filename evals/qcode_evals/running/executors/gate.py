"""One count of the requests that all nodes of a cluster have with the model's server.

`Gate` is the count; it lives in one process of the cluster. In a worker's process `Remote` asks it for places, and
stands where `InFlight` stands in a run without a cluster.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from qcode.messages import Usage
from qcode_evals.running.plans import Plan
from qcode_evals.server.inflight import InFlight, Place, Places


@dataclass
class _Held:
    """A place that is waited for, or taken."""

    owner: int
    attempt: str
    waiting: "asyncio.Task[Any] | None"
    place: Place | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class Gate:
    """Places for the requests of all nodes. An owner is an attempt that is to be made, which `attempt` tells apart from
    those at the same that were lost with their node."""

    def __init__(self, plan: Plan) -> None:
        """Raises: ConfigError, BackendError."""
        self._agent = plan.agent()
        self._places: Places = self._agent.places or InFlight(plan.requests)
        self._held: dict[str, _Held] = {}

    async def take(self, owner: int, attempt: str, ticket: str) -> None:
        """Return when the ticket has a place. What a lost attempt of the owner's had is free again."""
        for number, other in list(self._held.items()):
            if other.owner == owner and other.attempt != attempt:
                await self.give(number)
        held = self._held[ticket] = _Held(owner, attempt, asyncio.current_task())
        try:
            held.place = await held.stack.enter_async_context(self._places.one())
            held.waiting = None
        except BaseException:
            self._held.pop(ticket, None)
            raise

    async def give(self, ticket: str, usage: Usage | None = None, refused: tuple[float | None] | None = None) -> None:
        """The ticket's place is free, or no longer waited for; with the answer's usage, or where the server said
        "later" the seconds of its Retry-After, if it had one."""
        held = self._held.pop(ticket, None)
        if held is None:
            return
        if held.place is None:
            if held.waiting is not None:
                held.waiting.cancel()
            return
        if usage is not None:
            held.place.answered(usage)
        if refused is not None:
            held.place.refused(*refused)
        await held.stack.aclose()

    async def drop(self, owner: int) -> None:
        """The owner's attempt is over, however it ended."""
        for ticket, held in list(self._held.items()):
            if held.owner == owner:
                await self.give(ticket)

    async def found(self) -> str:
        """How many requests the server took at a time, in words, where they are tuned."""
        return self._places.found

    async def ended(self) -> str:
        """The same, when the run is over: the server is asked nothing more."""
        await self._agent.aclose()
        return self._places.found


@dataclass
class _Told:
    """A place of the gate's, and what came of its request. Implements `Place`."""

    begun: float = field(default_factory=time.monotonic)
    usage: Usage | None = None
    refusal: tuple[float | None] | None = None

    def answered(self, usage: Usage) -> None:
        """It came to its end."""
        self.usage = usage

    def refused(self, retry_after_s: float | None) -> None:
        """The server said "later"."""
        self.refusal = (retry_after_s,)


class Remote:
    """Implements `Places` in a worker's process, which makes one attempt after the other."""

    found = ""

    def __init__(self, ask: Callable[..., Awaitable[None]], tell: Callable[..., None]) -> None:
        """`ask` and `tell` call the gate's methods by name; `tell` does not wait for what they return."""
        self._ask = ask
        self._tell = tell
        self._owner = 0
        self._attempt = ""

    def begin(self, owner: int) -> None:
        """The next places are for this owner's attempt."""
        self._owner, self._attempt = owner, secrets.token_hex(8)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[Place, None]:
        """A place, once there is one. Raises: Unavailable."""
        ticket, told = secrets.token_hex(8), _Told()
        try:
            await self._ask("take", self._owner, self._attempt, ticket)
            told.begun = time.monotonic()
            yield told
        finally:
            self._tell("give", ticket, told.usage, told.refusal)

    async def aclose(self) -> None:
        """The gate is the executor's."""
