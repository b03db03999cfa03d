"""Slash commands of the screen itself, before those that the conversation has."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from qcode.ui.tui.blocks import Notice, Output, Said
from qcode.ui.tui.complete import Choice
from qcode.ui.tui.status import MODES

if TYPE_CHECKING:
    from qcode.app.conversation import Conversation
    from qcode.app.models import Models
    from qcode.session.index import Entry
    from qcode.ui.tui.app import Tui

OWN = {
    "help": "keys and commands",
    "mode": "plan, ask, auto-edit or yolo",
    "steer": "words for the model's next step, while it works",
    "theme": "dark or light",
    "vim": "vim keys in the input, or not",
    "quit": "leave",
}

NAME = 30
"""Characters of a model's name in a title: the end of it, for some are paths."""

KEYS = """\
**Keys**

- `Enter` sends, `Shift+Enter` or `Ctrl+J` begins a line, `Ctrl+G` opens your editor
- while the model works: `Enter` queues, `Ctrl+Enter` or `/steer` is heard at its next step, `Esc` stops it
- `Shift+Tab` goes through plan, ask, auto-edit and yolo
- `@` names a file, `/` a command, `!` runs a command in the sandbox
- `Up` and `Down` go through what you typed before, `Ctrl+R` searches it
- `PageUp`, `PageDown` and the wheel scroll, `Ctrl+End` goes to the end, `Ctrl+O` unfolds results and thinking
- `Ctrl-C` twice leaves

**Commands**

"""


class OwnCommands:
    """What a line that begins with a slash does."""

    def __init__(self, app: "Tui") -> None:
        self._app = app

    def choices(self) -> list[Choice]:
        """All commands, for completion; those of the conversation once it is open."""
        if self._app.work.talk is None:
            return [Choice(name, about) for name, about in OWN.items()]
        from qcode.app.commands import COMMANDS

        talk = self._app.work.talk
        shared = {name: command.help for name, command in COMMANDS.items()}
        shared |= {name: own.description for name, own in talk.briefing.commands.items()}
        shared |= {prompt.name: prompt.description for prompt in talk.servers.prompts}
        return [Choice(name, about) for name, about in sorted((shared | OWN).items())]

    def run(self, line: str) -> bool:
        """Carry it out; False where it is no command and goes to the model, such as /etc/hosts is wrong."""
        name, _, rest = line[1:].partition(" ")
        if not name or not name.replace("-", "").replace("_", "").replace(":", "").isalnum():
            return False
        app, rest = self._app, rest.strip()
        match name:
            case "help":
                commands = "\n".join(f"- `/{each.text}` {each.about}" for each in self.choices())
                app.say(Said(KEYS + commands))
            case "mode" if rest in MODES:
                app.set_mode(rest)
            case "mode" if not rest:
                app.action_mode()
            case "steer" if rest:
                if not app.sending.steer(rest, rest):
                    app.sending.send(rest, rest)
            case "theme" if rest in {"", "dark", "light"}:
                app.look.choose(rest)
            case "theme":
                app.say(Notice(f"'{rest}' is no theme: dark or light, and without a word the other one", "bad"))
            case "vim":
                app.composer.use_vim(app.composer.vim is None)
                app.say(Notice("vim keys: Esc for normal mode" if app.composer.vim else "vim keys are off"))
            case "rewind" if not rest and app.work.talk is not None and app.work.talk.turns:
                self._pick_turn(app.work.talk)
            case "resume" if not rest and app.work.talk is not None:
                app.run_worker(self._pick_session(app.work.talk), group="command")
            case "model" if not rest and app.work.talk is not None and app.work.talk.models is not None:
                app.run_worker(self._pick_model(app.work.talk, app.work.talk.models), group="command")
            case "quit" | "exit":
                app.leave()
            case _:
                app.work.command(self._shared(line))
        return True

    def _pick_turn(self, talk: "Conversation") -> None:
        from qcode.ui.tui.picker import Item, Picker

        items = [Item(str(number), f"{number}  {words}") for number, words in enumerate(talk.record.words, 1)]
        self._app.push_screen(Picker("Back to before turn", items[::-1], self._app.canvas), self._rewind)

    def _rewind(self, turn: str | None) -> None:
        if turn is not None:
            self.run(f"/rewind {turn}")

    async def _pick_session(self, talk: "Conversation") -> None:
        from qcode.errors import QcodeError
        from qcode.ui.tui.picker import Item, Picker

        try:
            found = await asyncio.to_thread(_sessions, talk.cwd)
        except QcodeError as error:
            self._app.failed(error)
            return
        items = [
            Item(entry.id, entry.digest.first or "(nothing said)", _about(entry))
            for entry in found
            if entry.id != talk.session.id
        ]
        if not items:
            self._app.say(Notice("this repository has no other session"))
            return
        self._app.push_screen(Picker("Go on with", items, self._app.canvas), self._resume)

    def _resume(self, session: str | None) -> None:
        if session is not None:
            self.run(f"/resume {session}")

    async def _pick_model(self, talk: "Conversation", models: "Models") -> None:
        from qcode.ui.tui.picker import Item, Picker

        offered = await asyncio.to_thread(models.offered)
        if not offered:
            self._app.work.command(self._shared("/model"))
            return
        items = [Item(each.words, each.words, each.about) for each in offered]
        name = talk.info.model
        name = name if len(name) <= NAME else f"…{name[1 - NAME :]}"
        self._app.push_screen(Picker(f"Instead of {name} let answer", items, self._app.canvas), self._model)

    def _model(self, words: str | None) -> None:
        if words is not None:
            self.run(f"/model {words}")

    async def _shared(self, line: str) -> None:
        from qcode.app import commands
        from qcode.errors import QcodeError
        from qcode_sandbox.errors import SandboxError

        app, talk = self._app, self._app.work.talk
        assert talk is not None
        try:
            said = await commands.run(talk, line)
        except commands.Leave:
            app.leave()
        except (QcodeError, SandboxError) as error:
            app.failed(error)
        else:
            if line.split()[0] == "/clear":
                app.transcript.clear_blocks()
            if said is not None and said.turn:
                app.sending.words(said.turn, line)
            elif said is not None:
                app.say(Said(said.text) if said.diff else Output(said.text))


def _sessions(folder: Path) -> "list[Entry]":
    from qcode.session.index import SessionIndex

    with SessionIndex() as index:
        return index.entries(repo=folder, limit=200)


def _about(entry: "Entry") -> str:
    """What tells sessions apart that began with the same words."""
    turns = f"{entry.digest.turns} turn{'s' * (entry.digest.turns != 1)}"
    return f"{_ago(time.time() - entry.used_at)}, {turns}, {entry.id}"


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if (number := int(seconds // size)) > 0:
            return f"{number} {unit}{'s' * (number != 1)} ago"
    return "just now"
