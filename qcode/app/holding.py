"""What a conversation holds while it lasts: its log, its sandbox, its servers of tools, what the agent changed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qcode.agent.asides import Asides
from qcode.agent.changes import Changes
from qcode.app.briefing import Briefing
from qcode.app.copied import Copy
from qcode.app.model_in_use import ModelInUse
from qcode.app.place import Failed, OpenSandbox, Place
from qcode.app.record import Record
from qcode.app.repository import work_root
from qcode.app.servers import SessionServers
from qcode.app.started import session_started
from qcode.events import Notice
from qcode.session.claims import Claims
from qcode.session.log import Session

if TYPE_CHECKING:
    from qcode_tools.mcp.settings import Configured


class Holding:
    """Opened together, closed together. `model` tells who answers now."""

    def __init__(
        self,
        model: Callable[[], ModelInUse],
        *,
        open_sandbox: OpenSandbox,
        sandbox_failed: Failed,
        sandbox_name: str,
        cwd: Path,
        copied: bool,
        briefing: Briefing,
        asides: Asides,
        servers: "Sequence[Configured]",
    ) -> None:
        self.record = Record()
        self.place = Place(open_sandbox, sandbox_failed)
        self.copy = Copy(self.place, cwd)
        self.changes = Changes(self.place.get, self.record.emit, lambda *call: model().toolset.reach(*call))
        self.servers = SessionServers(
            servers, toolset=model().toolset, sandbox=self.place.get, repository=cwd,
            window=lambda: model().backend.info.context_window, tell=self.tell,
        )  # fmt: skip
        self.briefing = briefing
        self.guides = briefing.guides(asides.add, self.place)
        self.record.also += [self.changes.see, self.guides.note]
        self._model = model
        self._sandbox_name = sandbox_name
        self._cwd = cwd
        self._copied = copied

    def tell(self, line: str) -> None:
        """A line for the user."""
        self.record.emit(Notice(text=line))

    def open(self, resumed: Session | None, folder: Path | None) -> list[str]:
        """Go on with a session, or begin a new one with its log in `folder`, and start the sandbox without waiting for
        it; lines for the user about how it begins. Raises: SessionError."""
        notices: list[str] = []
        if resumed is None:
            self.record.session = Session(folder)
        else:
            notices = self.record.replay(resumed, self._cwd)
            if self.record.elsewhere:
                self.changes.forget()
        session = self.record.session
        assert session is not None, "made above"
        if not self._copied:
            self.changes.claims = Claims(work_root(self._cwd), session.id)
        self.place.start()
        self.servers.begin()
        return notices

    async def close(self) -> None:
        """Release everything, the model too. A log in which nothing was said is removed."""
        await self.changes.settled()
        try:
            await self.servers.close()
            await self.place.close()
        finally:
            await self._model().backend.aclose()
            if (session := self.record.session) is not None:
                session.close()
                if not self.record.model and not session.events:
                    session.path.unlink(missing_ok=True)

    async def renew_sandbox(self) -> None:
        """The sandbox is lost: the next to ask for it gets another one."""
        await self.place.close()
        if self._copied:
            self.changes.forget()
        gone = "what was changed in its copy" if self._copied else "the variables of its shell"
        self.tell(f"the sandbox is gone and a new one will be opened; {gone} went with it")

    def note_model(self) -> bool:
        """Write down who answers, where that is new; True where it was another one before."""
        model = self._model()
        info, session = model.backend.info, self.record.session
        assert session is not None, "the conversation is entered"
        return self.record.answered_by(
            info,
            model.profile.toolset,
            lambda: session_started(
                session, info, profile=model.profile, toolset=model.toolset, sampling=model.sampling,
                sandbox=self._sandbox_name, cwd=self._cwd, settings={"copied": self._copied},
            ),
        )  # fmt: skip
