"""What a session has recorded, and what follows from it: history, turns, sums."""

from collections.abc import Callable
from pathlib import Path

from qcode.app.repository import work_root
from qcode.deltas import ModelChanged
from qcode.errors import ConfigError
from qcode.events import CompactionUndone, Event, Queued, Rewound, SessionStarted, TurnFinished, TurnStarted
from qcode.model import BackendInfo
from qcode.session.costs import Costs
from qcode.session.fold import Fold
from qcode.session.log import Session
from qcode.session.stats import Stats

Emit = Callable[[Event], None]

UNKNOWN = "?"
"""The name of a model whose server has not told it yet."""


class Record:
    """Events go into the log first, then into what is known, then to `sink`, if somebody reads now."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.sink: Emit | None = None
        self.beside: Emit | None = None
        """Who sees what happens where no turn runs, such as the reading of a prompt for a summary."""
        self.also: list[Emit] = []
        """Who takes in each event besides."""
        self.fold = Fold()
        self.stats = Stats()
        self.costs = Costs()
        self.queued: tuple[str, ...] = ()
        """What the user typed ahead and has not said."""
        self.words: list[str] = []
        """The user's words that began each turn."""
        self.elsewhere = False
        """Whether what was changed before is not in the tree that is here."""
        self.model = ""
        """Who answered last; "" until the session has begun."""
        self._toolset = ""

    def emit(self, event: Event) -> None:
        """Record an event. Raises: SessionError, and then nothing knows of it."""
        assert self.session is not None, "the session is open"
        self.session.record(event)
        self._take_in(event)
        if self.sink is not None:
            self.sink(event)
        elif self.beside is not None:
            self.beside(event)

    def answered_by(self, info: BackendInfo, toolset: str, started: Callable[[], SessionStarted]) -> bool:
        """Note who answers from now on, with which tools, where that is new: at the beginning with the session's first
        event. True where it was another one before."""
        if not self.model:
            self.emit(started())
            return False
        model = info.model or self.model
        if model == self.model and toolset == self._toolset:
            return False
        now = started()
        before = "" if self.model == UNKNOWN else self.model
        self.emit(
            ModelChanged(
                model=model, before=before, engine=info.engine, window=info.context_window,
                toolset=toolset, tools=now.tools, system=now.system,
            )
        )  # fmt: skip
        return True

    def queue(self, words: tuple[str, ...]) -> None:
        """Keep what the user has typed ahead; before the session's first event there is nothing to keep it with."""
        if self.model and words != self.queued:
            self.emit(Queued(words=words))

    def lengthen(self) -> None:
        """Take the last shortening of the conversation back. Raises: ConfigError if there is none."""
        if not self.fold.shortened:
            raise ConfigError("the conversation was not shortened, or that was taken back")
        self.emit(CompactionUndone())

    def replay(self, session: Session, cwd: Path) -> list[str]:
        """Go on with a log in this folder; what the user should know of how it ended."""
        self.session = session
        for event in session.events:
            self._take_in(event)
        gone = self._gone(cwd)
        self.elsewhere = bool(gone)
        last = next((e for e in reversed(session.events) if isinstance(e, TurnStarted | TurnFinished)), None)
        cut = ["the last turn was cut off; what was finished of it is kept"] if isinstance(last, TurnStarted) else []
        return [*([session.notice] if session.notice else []), *cut, *gone]

    def _gone(self, cwd: Path) -> list[str]:
        """Why the files that the session changed are not those that are here."""
        started = (
            next((e for e in self.session.events if isinstance(e, SessionStarted)), None) if self.session else None
        )
        if started is None:
            return []
        if started.settings.get("copied"):
            return ["it worked on a copy, which is gone with what was not applied of it"]
        if not (there := Path(started.cwd)).is_dir() or work_root(there) != work_root(cwd):
            return [f"it was held in {started.cwd}; what it changed there can be undone only there"]
        return []

    def _take_in(self, event: Event) -> None:
        self.fold.add(event)
        self.stats.add(event)
        self.costs.add(event)
        for also in self.also:
            also(event)
        match event:
            case SessionStarted(model=model, settings=settings):
                self.model, self._toolset = model or UNKNOWN, str(settings.get("toolset", ""))
            case ModelChanged(model=model, toolset=toolset):
                self.model, self._toolset = model, toolset or self._toolset
            case TurnStarted(text=text, said=said):
                self.words.append(said or text)
            case Queued(words=words):
                self.queued = words
            case Rewound(turn=turn):
                del self.words[turn - 1 :]
            case _:
                pass
