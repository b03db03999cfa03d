"""Where what the user sends goes: to the model, to a command of qcode's, or to the shell."""

from typing import TYPE_CHECKING

from qcode.ui.tui.blocks import Notice, Words
from qcode.ui.tui.queue import Waiting

if TYPE_CHECKING:
    from qcode.ui.tui.app import Tui


class Sending:
    """One turn runs at a time; what cannot be sent yet waits in the order in which it came."""

    def __init__(self, app: "Tui") -> None:
        self._app = app

    def send(self, text: str, shown: str) -> None:
        """Words for the model, a command of qcode's, or of the shell's."""
        app = self._app
        if app.work.talk is None:
            app.waiting.put(Waiting(text, shown))
            return
        if text.startswith("/") and app.commands.run(text):
            return
        if text.startswith("!") and text[1:].strip():
            self._shell(text[1:].strip())
        else:
            self._turn(Waiting(text, shown))

    def words(self, text: str, line: str) -> None:
        """Words for the model that a line of the user's stands for; they are no command, whatever they begin with."""
        self._turn(Waiting(text, line, typed=False))

    def steer(self, text: str, shown: str) -> bool:
        """Have the model hear these words before its next step; False if it does not work."""
        work = self._app.work
        if work.talk is None or not work.busy or not work.talk.steer(text):
            return False
        self._app.say(Notice(f"for its next step: {shown}"))
        return True

    def next(self) -> bool:
        """Send what waits longest; False if there is nothing, or something runs."""
        app = self._app
        if app.work.busy or (following := app.waiting.take()) is None:
            return False
        if following.typed:
            self.send(following.text, following.shown)
        else:
            self._turn(following)
        return True

    def _turn(self, one: Waiting) -> None:
        app = self._app
        if app.work.busy or app.follower is None:
            app.waiting.put(one)
            return
        app.follower.echoed.append(one.text)
        app.say(Words(one.shown))
        app.board.meter.asked()
        app.work.turn(one.text)
        app.tick()

    def _shell(self, command: str) -> None:
        app, follower = self._app, self._app.follower
        assert follower is not None
        app.say(Words(command, mark="!"))
        block = follower.shell_block()
        app.work.shell(command, lambda event: follower.see_shell(block, event))
        app.tick()
