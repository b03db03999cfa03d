"""A session of many turns: one backend, one sandbox over the user's repository, one log."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from qcode.agent.approval import Approver
from qcode.agent.asides import Asides
from qcode.agent.limits import Limits
from qcode.agent.loop import Agent
from qcode.app.briefing import Briefing
from qcode.app.holding import Holding
from qcode.app.model_in_use import ModelInUse
from qcode.app.place import OpenSandbox
from qcode.app.stream import stream
from qcode.app.thinking import heed_words
from qcode.app.turning import Turning
from qcode.app.underway import Underway
from qcode.deltas import ModelChanged
from qcode.errors import ConfigError
from qcode.events import (
    ChangesUndone,
    Cleared,
    Compacted,
    CompactionCause,
    Event,
    Notice,
    Rewound,
    Steered,
)
from qcode.messages import Message, Usage
from qcode.model import Backend, BackendInfo, Request, Sampling
from qcode.policy.policy import Policy
from qcode.session.log import Session, SessionError
from qcode_sandbox.protocol import Share
from qcode_tools.toolset import Toolset

if TYPE_CHECKING:
    from qcode.app.models import Models
    from qcode_tools.mcp.settings import Configured

T = TypeVar("T")


class Conversation:
    """Enter it, then give it turn after turn; leaving it ends what still runs and closes all that it holds.

    One turn runs at a time. `notices` are lines for the user about how it began; `record` has what is known of it.
    """

    def __init__(
        self,
        *,
        model: ModelInUse,
        limits: Limits,
        open_sandbox: OpenSandbox,
        sandbox_name: str,
        cwd: Path,
        policy: Policy | None = None,
        approver: Approver | None = None,
        copied: bool = False,
        briefing: Briefing | None = None,
        compact_at: float | None = None,
        servers: "Sequence[Configured]" = (),
        resume: Path | None = None,
        session_dir: Path | None = None,
        models: "Models | None" = None,
    ) -> None:
        """`copied`: the sandbox has a copy of the repository and not the repository itself. `briefing` is what
        the first turn begins with; `compact_at` is as in Agent. `resume` is the log of the session to go on with;
        `models` are those that it can change to."""
        self.policy = policy or Policy()
        self.model = model
        self.models = models
        self.compact_at = compact_at
        self.sandbox_name = sandbox_name
        self.cwd = cwd
        self.copied = copied
        self.notices: list[str] = []
        self.next: Path | None = None  # the log of the session that the user wants to go on with instead
        self.briefing = briefing or Briefing()
        self._resume = resume
        self._session_dir = session_dir
        self._underway = Underway()
        self._asides = Asides()
        self._holding = Holding(
            lambda: self.model, open_sandbox=open_sandbox,
            sandbox_failed=lambda error: self._turning.sandbox_failed(error),
            sandbox_name=sandbox_name, cwd=cwd, copied=copied, briefing=self.briefing, asides=self._asides,
            servers=servers,
        )  # fmt: skip
        self.record, self.servers = self._holding.record, self._holding.servers
        self._changes = self._holding.changes
        self._turning = Turning(
            self._holding, self._underway, self._asides,
            agent=lambda: self._agent, heed=lambda words: heed_words(self, words), sync=self._sync,
        )  # fmt: skip
        self._limits = limits
        self._approver = approver
        self._agent = self._agent_of(self.model)

    async def __aenter__(self) -> "Conversation":
        """Open or continue the log and start the sandbox, without waiting for it. Raises: SessionError."""
        resumed = None if self._resume is None else await asyncio.to_thread(Session.open, self._resume)
        self.notices += self._holding.open(resumed, self._session_dir)
        self._sync()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._underway.interrupt()
        await self._underway.ended()
        await self._holding.close()

    @property
    def session(self) -> Session:
        """The log. Raises: RuntimeError before the conversation is entered."""
        if self.record.session is None:
            raise RuntimeError("a conversation must be entered first")
        return self.record.session

    @property
    def backend(self) -> Backend:
        """Asked for answers."""
        return self.model.backend

    @property
    def toolset(self) -> Toolset:
        """What the model can call."""
        return self.model.toolset

    @property
    def history(self) -> tuple[Message, ...]:
        """What the model knows."""
        return tuple(self._agent.history)

    @property
    def turns(self) -> int:
        """How many turns the conversation has."""
        return self.record.fold.turns

    @property
    def usage(self) -> Usage:
        """Tokens of the session so far."""
        return self.record.stats.usage

    @property
    def info(self) -> BackendInfo:
        """Who answers."""
        return self.backend.info

    @property
    def busy(self) -> bool:
        """Whether a turn runs."""
        return self._underway.busy

    @property
    def request(self) -> Request:
        """What the model would be asked now, for counting it."""
        return Request(self.model.profile.system, self.history, self.toolset.specs, self.model.sampling)

    async def count_tokens(self, request: Request) -> int | None:
        """As `Backend.count_tokens`. Raises: BackendError."""
        return await self.backend.count_tokens(request)

    async def turn(self, text: str) -> AsyncGenerator[Event, None]:
        """Work on the user's words to the end, whose event is TurnFinished; it tells failures of model and sandbox.
        Read it under `aclosing`: closing it early interrupts it. Raises: ConfigError if one runs, SessionError."""
        with self._underway.alone():
            try:
                async with aclosing(stream(partial(self._turning.turn, text))) as events:
                    async for event in events:
                        yield event
            finally:
                self.record.sink = None

    async def shell(self, command: str) -> AsyncGenerator[Event, None]:
        """Run a command of the user's own in the sandbox: ToolOutput as it comes, with call_id "!", then ShellRan.
        The model is told before its next step. An interrupt ends it without ShellRan. Raises: SandboxError."""
        async with aclosing(stream(partial(self._turning.command, command))) as events:
            async for event in events:
                yield event

    async def attach(self, text: str) -> str:
        """Put a long text into a file outside the work tree; words that name it. Raises: SandboxError."""
        return await self._turning.attach(text)

    def interrupt(self) -> bool:
        """End what runs now, in order: what was done is kept. False if nothing runs."""
        return self._underway.interrupt()

    def steer(self, text: str) -> bool:
        """Have the model hear these words before its next step (event Steered); False if no turn runs."""
        if self._underway.busy:
            self._asides.add(Steered(text=text))
        return self._underway.busy

    def keep_queued(self, words: tuple[str, ...]) -> None:
        """Have the log hold what the user typed ahead, as far as it can be written: the turn that runs tells if not."""
        with suppress(SessionError):
            self.record.queue(words)

    def take_queued(self) -> str:
        """What was typed ahead and not said when the session ended; the log forgets it."""
        words = "\n".join(self.record.queued)
        self.keep_queued(())
        return words

    def withdraw(self) -> tuple[str, ...]:
        """Take back the words that the model has not heard yet."""
        return self._asides.withdraw()

    async def diff(self) -> Share:
        """What the agent changed since the session began and is still there. Raises: SandboxError."""
        return await self._changes.diff()

    async def undo(self) -> ChangesUndone:
        """Take back the file changes of the last step with some. Raises: ConfigError, NothingToUndo, SandboxError."""
        self._underway.require_quiet()
        undone = await self._changes.undo()
        self._sync()
        return undone

    async def rewind(self, turn: int) -> ChangesUndone:
        """Take files and conversation back to before a turn, counted from 1. Raises: ConfigError, SandboxError."""
        self._underway.require_quiet()
        if not 1 <= turn <= self.turns:
            raise ConfigError(f"there is no turn {turn}: this conversation has {self.turns}")
        undone = await self._changes.rewind(turn)
        self.record.emit(Rewound(turn=turn))
        self._sync()
        return undone

    async def apply(self) -> tuple[str, ...]:
        """Put what has changed in a copy, since it was last applied, into the repository; the paths.

        Raises: ConfigError where it does not fit, SandboxError."""
        return await self._holding.copy.apply()

    async def compact(self, focus: str = "") -> Compacted | Notice:
        """Shorten what the model knows, but not what `focus` names; a Notice tells why, if it cannot be. An interrupt
        leaves it as it is. Raises: ConfigError while a turn runs, BackendError, Interrupted."""
        told = [Notice(text="there is no conversation yet that could be shortened")]

        def emit(event: Event) -> None:
            self.record.emit(event)
            if isinstance(event, Notice):
                told.append(event)

        done = await self.alone(lambda: self._agent.compact(emit, CompactionCause.ASKED, focus=focus))
        return told[-1] if done is None else done

    async def fit(self, window: int) -> Compacted | None:
        """Shorten what the model knows so that it fits another one's window, in tokens; within `alone`. None if it
        cannot be. Raises: BackendError."""
        return await self._agent.compact(self.record.emit, CompactionCause.MODEL, window=window)

    async def alone(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what no turn can run beside. Raises: ConfigError while a turn runs, Interrupted, what the work raises."""
        return await self._underway.do_alone(work)

    def take_up(self, model: ModelInUse, changed: ModelChanged) -> None:
        """Have this model answer from now on; within `alone`."""
        self.model = model
        self._agent = self._agent_of(model)
        if self.record.model:
            self.record.emit(changed)
        self._sync()
        self._agent.forget_counts()

    def ask_otherwise(self, sampling: Sampling) -> None:
        """Have the model asked with this sampling from now on; not while it answers."""
        self.model = replace(self.model, sampling=sampling)
        self._agent = self._agent_of(self.model)
        self._sync()

    def uncompact(self) -> None:
        """Take the last shortening back. Raises: ConfigError while a turn runs, or if there is none."""
        self._underway.require_quiet()
        self.record.lengthen()
        self._sync()

    def clear(self) -> None:
        """Begin a new conversation; the files stay as they are. Raises: ConfigError while a turn runs."""
        self._underway.require_quiet()
        self.record.emit(Cleared())
        self._sync()

    def _agent_of(self, model: ModelInUse) -> Agent:
        return Agent(
            backend=model.backend, toolset=model.toolset, sandbox=self._holding.place.get, profile=model.profile,
            limits=self._limits, sampling=model.sampling, policy=self.policy, approver=self._approver,
            watch=self._changes.around, compact_at=self.compact_at, asides=self._asides, talking=True,
        )  # fmt: skip

    def _sync(self) -> None:
        self.record.fold.close()
        self._agent.history[:] = self.record.fold.messages
