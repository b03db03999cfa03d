"""A turn around the loop, and commands of the user's beside it: what must stand before, and an end in any case."""

import asyncio
from collections.abc import Callable

from qcode.agent.asides import Asides
from qcode.agent.loop import Agent
from qcode.app.holding import Holding
from qcode.app.record import Emit
from qcode.app.underway import Underway
from qcode.app.usershell import UserShell
from qcode.errors import QcodeError
from qcode.events import Event, Reason, TurnFinished
from qcode_sandbox.errors import SandboxError, SandboxLost


class Turning:
    """`agent` is who works now; `heed` looks at the user's words before a turn; `sync` has the agent know what the log
    knows."""

    def __init__(
        self,
        holding: Holding,
        underway: Underway,
        asides: Asides,
        *,
        agent: Callable[[], Agent],
        heed: Callable[[str], None],
        sync: Callable[[], None],
    ) -> None:
        self._holding = holding
        self._underway = underway
        self._asides = asides
        self._agent = agent
        self._heed = heed
        self._sync = sync
        self._shell = UserShell(holding.place, underway, asides)
        self._failed: QcodeError | SandboxError | None = None

    async def turn(self, text: str, sink: Emit) -> None:
        """Work on the user's words to the end, which TurnFinished tells. Raises: SessionError."""
        record, ended = self._holding.record, False

        def emit(event: Event) -> None:
            nonlocal ended
            ended = ended or isinstance(event, TurnFinished)
            record.emit(event)
            self._holding.guides.see(event)

        record.sink = sink
        try:
            with self._underway.task(turn=True):
                self._begin()
                self._heed(text)
                if self._underway.stopped:
                    raise asyncio.CancelledError
                self._holding.place.start()
                await self._holding.servers.ready()
                agent = self._agent()
                await agent.turn(text, emit, preface="" if agent.history else self._holding.briefing.text)
        except (QcodeError, SandboxError) as error:
            if not ended:
                raise
            if isinstance(error, SandboxLost):
                await self._holding.renew_sandbox()
        except asyncio.CancelledError:
            if not ended:
                why, self._failed = self._failed, None
                reason = Reason.INTERRUPTED if why is None else Reason.ERROR
                emit(TurnFinished(reason=reason, error=None if why is None else str(why)))
        finally:
            self._tell_of_commands()

    async def command(self, command: str, sink: Emit) -> None:
        """Run a command of the user's own; the model is told before its next step. Raises: SandboxError."""
        await self._shell.run(command, sink)
        if not self._underway.busy:
            self._tell_of_commands()

    async def attach(self, text: str) -> str:
        """Put a text into a file outside the work tree; words that name it. Raises: SandboxError."""
        return await self._shell.attach(text)

    def sandbox_failed(self, error: QcodeError | SandboxError) -> None:
        """End the turn that waits for the sandbox, if one runs."""
        if self._underway.turn is not None:
            self._failed = error
            self._agent().abort(self._underway.turn, error)

    def _tell_of_commands(self) -> None:
        """Put commands that the user ran, and that no step has told the model of, at the end of the history."""
        commands = self._asides.commands()
        if not commands:
            return
        self._begin()
        for ran in commands:
            self._holding.record.emit(ran)
        self._sync()

    def _begin(self) -> None:
        if self._holding.note_model():
            self._agent().forget_counts()
