"""The terminal session's screen: widgets, keys, and what they lead to."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from qcode.ui.tui.blocks import USER_MARK, Block, Notice, Welcome
from qcode.ui.tui.board import Board
from qcode.ui.tui.commands import OwnCommands
from qcode.ui.tui.completion import Completion
from qcode.ui.tui.composer import Composer
from qcode.ui.tui.ground import Told
from qcode.ui.tui.look import Look, coloured
from qcode.ui.tui.opening import Branch, Files, Load, Ready
from qcode.ui.tui.palette import Palette
from qcode.ui.tui.popup import Popup
from qcode.ui.tui.questions import Questions
from qcode.ui.tui.queue import Queue
from qcode.ui.tui.recall import Recall
from qcode.ui.tui.sending import Sending
from qcode.ui.tui.status import MODES
from qcode.ui.tui.transcript import Transcript
from qcode.ui.tui.working import Work

if TYPE_CHECKING:
    from qcode.app.conversation import Conversation
    from qcode.events import Event
    from qcode.ui.tui.follow import Follower

TWICE_S = 2.0
"""Within which a second Ctrl-C leaves."""

TICK_S = 0.2


class Tui(App[None]):
    """`load` brings the conversation while the prompt can be used already; `first` is the first turn's text."""

    TITLE = "qcode"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: $background; color: $foreground; layers: base; }
    #input { height: auto; background: $panel; }
    #mark { width: 3; height: 1; padding: 0 0 0 1; background: $panel; color: $accent; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "stop_or_leave", show=False, priority=True),
        Binding("escape", "stop", show=False),
        Binding("shift+tab", "mode", show=False, priority=True),
        Binding("ctrl+o", "unfold", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
        Binding("ctrl+l", "redraw", show=False, priority=True),
        Binding("ctrl+end", "follow", show=False, priority=True),
    ]

    def __init__(
        self,
        load: Load,
        *,
        recall: Path,
        files: Files,
        branch: Branch,
        first: str = "",
        palette: Palette | None = None,
    ) -> None:
        from qcode.ui.tui.terminal import Terminal

        super().__init__(driver_class=Terminal, ansi_color=None if coloured(os.environ) else True)
        self.look = Look(self, palette)
        self.canvas = self.look.canvas
        self.board = Board(self.canvas, branch)
        self.transcript = Transcript(self.canvas)
        self.composer = Composer(Recall(recall), self.look.palette, coloured=not self.no_color)
        self.popup = Popup(self.canvas)
        self.waiting = Queue(self.canvas, self._keep_queued)
        self.completion = Completion(files, lambda: self.commands.choices(), self.popup)
        self.composer.pick = lambda key: self.completion.key(key, self.composer)
        self.questions = Questions(self)
        self.sending = Sending(self)
        self.work = Work(load, self, self.questions, self.notice)
        self.follower: Follower | None = None
        self.editor: str | None = None
        self.commands = OwnCommands(self)
        self._first = first
        self._pressed = float("-inf")
        self._unfolded = False

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self.transcript
        yield self.waiting
        yield self.board.activity
        yield self.popup
        with Horizontal(id="input"):
            yield Static(USER_MARK, id="mark")
            yield self.composer
        yield self.board.status

    def on_mount(self) -> None:
        """The prompt first; everything else comes after it is on the screen."""
        self.composer.focus()
        self.say(Welcome())
        self.set_interval(TICK_S, self.tick)
        self.call_after_refresh(self.work.start)

    # What the work tells.

    def ready(self, ready: Ready, talk: "Conversation") -> None:
        """The conversation is open: show who answers, and send what was typed meanwhile."""
        from qcode.ui.tui.follow import Follower

        self.follower = Follower(self.transcript, self.board.meter)
        self.editor, self.questions.bell = ready.editor, ready.bell
        self.transcript.log_path = str(talk.session.path)
        self.look.choose(ready.theme)
        if ready.vim:
            self.composer.use_vim(True)
        self.follower.replay(talk.session.events)
        talk.record.beside = self.see_beside
        if words := talk.take_queued():
            self.composer.replace_all("\n".join(part for part in (words, self.composer.text) if part))
            self.say(Notice("what waited when the session ended is in the input again"))
        for line in talk.notices:
            self.say(Notice(line))
        self.board.look_at_branch()
        self.board.stand(self.work.talk, self.follower)
        if self._first:
            self.sending.send(self._first, self._first)
        self.sending.next()

    def see(self, event: "Event") -> None:
        """Show what happened."""
        assert self.follower is not None
        doing = self.follower.doing
        self.follower.see(event)
        if self.follower.doing != doing:
            self.tick()

    def _keep_queued(self, words: tuple[str, ...]) -> None:
        if self.work.talk is not None:
            self.work.talk.keep_queued(words)

    def see_beside(self, event: "Event") -> None:
        """Take in what happened where no turn runs: what a command says of it comes from the command."""
        assert self.follower is not None
        self.follower.beside(event)

    def idle(self) -> None:
        """Send what waits."""
        if self.follower is not None:
            self.follower.interrupted()
        self.tick()
        self.board.stand(self.work.talk, self.follower)
        if not self.sending.next():
            self.board.look_at_branch()
            if self.questions.bell:
                self.bell()

    def failed(self, error: Exception) -> None:
        """Say what could not be done."""
        self.say(Notice(str(error), "bad"))

    def leave(self) -> None:
        """Close the screen; the conversation is closed after it."""
        self.exit()

    def notice(self, line: str) -> None:
        """A line from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: self.say(Notice(line)))

    def say(self, block: Block) -> None:
        """Put a block at the end."""
        self.transcript.add(block)

    def settled(self) -> None:
        """A command has been carried out: look anew at what it may have changed, and send what waits."""
        if self.follower is not None and not self.work.busy:
            self.follower.interrupted()
        self.tick()
        self.board.stand(self.work.talk, self.follower)
        self.board.look_at_branch()
        self.sending.next()

    # What the user wants.

    @on(Told)
    def _ground_told(self, message: Told) -> None:
        self.look.told(message.light)

    def set_mode(self, mode: str) -> None:
        """What the agent may do without asking, from its next call on."""
        from qcode.policy.policy import Mode

        if self.work.talk is not None:
            self.work.talk.policy.mode = Mode(mode)
            self.board.stand(self.work.talk, self.follower)

    def on_approval_panel_advising(self) -> None:
        """The user says no with words: they are written in the input."""
        self.composer.focus()

    @on(Composer.Sent)
    def _sent(self, message: Composer.Sent) -> None:
        if self.questions.advise(message.text):
            return
        self.transcript.to_end()
        if message.steer and self.sending.steer(message.text, message.shown):
            return
        self.sending.send(message.text, message.shown)

    @on(Composer.Asking)
    def _complete(self) -> None:
        self.completion.ask(self.composer.token)

    @on(Composer.Refused)
    def _refused(self, message: Composer.Refused) -> None:
        self.say(Notice(message.text, "warn"))

    @on(Composer.Paged)
    def _paged(self, message: Composer.Paged) -> None:
        self.transcript.page(message.by)

    @on(Composer.LeaveWanted)
    def _leave_wanted(self) -> None:
        self.leave()

    def action_stop(self) -> None:
        """Esc: end what runs; what waited comes back into the input."""
        talk = self.work.talk
        if talk is None or not self.work.interrupt():
            return
        words = "\n".join(part for part in (*talk.withdraw(), self.waiting.withdraw(), self.composer.text) if part)
        self.composer.replace_all(words)

    def action_stop_or_leave(self) -> None:
        """Ctrl-C: copy what is marked, else stop, else empty the input; twice leaves."""
        if marked := self.screen.get_selected_text() or self.composer.selected_text:
            self.copy_to_clipboard(marked)
            self.screen.clear_selection()
            return
        if time.monotonic() - self._pressed <= TWICE_S:
            self.leave()
            return
        self._pressed = time.monotonic()
        if self.work.busy:
            self.action_stop()
        else:
            self.composer.replace_all("")
        self.board.hint("Ctrl-C again leaves", TWICE_S)
        self.tick()

    def action_mode(self) -> None:
        """Shift+Tab: the next mode."""
        self.set_mode(MODES[(MODES.index(self.board.standing.mode) + 1) % len(MODES)])

    def action_unfold(self) -> None:
        """Ctrl+O: show everything, or the heads again."""
        self._unfolded = not self._unfolded
        self.transcript.unfold(self._unfolded)

    def action_follow(self) -> None:
        """Ctrl+End: to the end of the transcript."""
        self.transcript.to_end()

    def action_redraw(self) -> None:
        """Ctrl+L: draw the screen anew."""
        self.refresh(layout=True, repaint=True)

    @on(Composer.SearchWanted)
    def _search_history(self) -> None:
        from qcode.ui.tui.editing import search_history

        search_history(self)

    @on(Composer.EditorWanted)
    async def _edit(self) -> None:
        from qcode.ui.tui.editing import edit_input

        await edit_input(self)

    def tick(self) -> None:
        """Show what is being done now."""
        doing = self.follower.doing if self.follower is not None else ""
        doing = "waiting for your answer" if self.questions.panel is not None else doing
        self.board.tell(busy=self.work.busy, doing=doing, opening=self.work.talk is None)
        if self.work.busy:
            self.board.stand(self.work.talk, self.follower)
