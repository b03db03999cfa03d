"""The input: several lines, history, completion, pastes, an editor of one's own, vim keys on request."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from qcode.ui.tui.complete import Choice, Token, token_at
from qcode.ui.tui.palette import Palette
from qcode.ui.tui.paste import LIMIT, Pastes
from qcode.ui.tui.recall import Recall
from qcode.ui.tui.vim import Vim


class Composer(TextArea):
    """Enter sends, Shift+Enter or Ctrl+J begins a line. It says by messages what is wanted."""

    DEFAULT_CSS = """
    Composer {
        height: auto;
        min-height: 1;
        max-height: 8;
        border: none;
        padding: 0;
        background: $panel;
        scrollbar-size-vertical: 1;
        &:focus { border: none; }
        & .text-area--cursor-line { background: $panel; }
    }
    """

    @dataclass
    class Sent(Message):
        """Enter. `text` is whole, `shown` has marks for long pastes; `steer` where it is for the running turn."""

        text: str
        shown: str
        steer: bool = False

    class Asking(Message):
        """The word at the cursor is another one: see `token`."""

    @dataclass
    class Refused(Message):
        """One line about what the input does not take."""

        text: str

    @dataclass
    class Paged(Message):
        """Page up or down: screenfuls of the transcript."""

        by: float

    class LeaveWanted(Message):
        """Ctrl-D in an empty input."""

    class SearchWanted(Message):
        """Ctrl+R."""

    class EditorWanted(Message):
        """Ctrl+G or Ctrl+X Ctrl+E."""

    def __init__(self, recall: Recall, palette: Palette, *, coloured: bool = True) -> None:
        super().__init__(soft_wrap=True, show_line_numbers=False, tab_behavior="focus", highlight_cursor_line=False)
        self.recall = recall
        self.pastes = Pastes()
        self.pick: Callable[[str], bool] = lambda key: False
        """What carries out a key of the list of completions (up, down, take, enter, leave); False where it has none."""
        self.vim: Vim | None = None
        self.last_key = 0.0
        self._prefix = ""
        self._coloured = coloured
        self.recolour(palette)

    def recolour(self, palette: Palette) -> None:
        """Use the colours of this palette."""
        from rich.style import Style

        self.register_theme(
            TextAreaTheme(
                name=palette.name,
                base_style=Style(color=palette.text, bgcolor=palette.raised),
                cursor_style=Style(color=palette.ground, bgcolor=palette.text, reverse=not self._coloured),
                cursor_line_style=None,
                selection_style=Style(bgcolor=palette.chosen, reverse=not self._coloured),
            )
        )
        self.theme = palette.name

    def use_vim(self, wanted: bool) -> None:
        """Vim keys from now on, or not."""
        self.vim = Vim() if wanted else None

    def replace_all(self, text: str) -> None:
        """Put in this text instead, the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def complete(self, token: Token, choice: Choice) -> None:
        """Put a completion in the place of its token."""
        row = self.cursor_location[0]
        sign = "@" if token.kind == "file" else "/"
        self.replace(f"{sign}{choice.text} ", (row, token.start), (row, token.end))

    def take(self, *, steer: bool = False) -> None:
        """Send what is there, and be empty."""
        shown = self.text
        if not shown.strip():
            return
        whole = self.pastes.expand(shown)
        self.recall.add(shown if whole != shown and len(whole) > 2_000 else whole)
        self.pastes.clear()
        self.load_text("")
        if self.vim is not None:
            self.vim.insert()
        self.post_message(self.Sent(whole, shown, steer))

    async def _on_key(self, event: events.Key) -> None:
        self.last_key = time.monotonic()
        if self._prefix == "ctrl+x" and event.key == "ctrl+e":
            self._prefix = ""
            self._own(event)
            self.post_message(self.EditorWanted())
            return
        self._prefix = event.key if event.key == "ctrl+x" else ""
        # At once, and not by a message: letters behind the key would come before what it does.
        if (key := _PICKING.get(event.key)) and self.pick(key):
            self._own(event)
            return
        if self.vim is not None and self.vim.key(self, event.key, event.character):
            self._own(event)
            return
        match event.key:
            case "enter":
                self._own(event)
                self._enter()
            case "ctrl+enter":
                self._own(event)
                self.take(steer=True)
            case "shift+enter" | "ctrl+j" | "alt+enter":
                self._own(event)
                self._replace_via_keyboard("\n", *self.selection)
            case "up" if self.cursor_at_first_line and (text := self.recall.back(self.text)) is not None:
                self._own(event)
                self.replace_all(text)
            case "down" if self.cursor_at_last_line and (text := self.recall.forward()) is not None:
                self._own(event)
                self.replace_all(text)
            case "ctrl+r":
                self._own(event)
                self.post_message(self.SearchWanted())
            case "ctrl+g":
                self._own(event)
                self.post_message(self.EditorWanted())
            case "pageup" | "pagedown":
                self._own(event)
                self.post_message(self.Paged(-1 if event.key == "pageup" else 1))
            case "ctrl+d" if not self.text:
                self._own(event)
                self.post_message(self.LeaveWanted())
            case "ctrl+underscore":
                self._own(event)
                self.undo()
            case "ctrl+x" if not self.selected_text:
                self._own(event)
            case key if (bound := self._bindings.key_to_bindings.get(key)) and await self._carry_out(bound[0].action):
                self._own(event)
            case _:
                await super()._on_key(event)

    async def _carry_out(self, action: str) -> bool:
        # At once: Textual lets letters that were typed behind such a key come before what it does.
        return await self.app.run_action(action, self)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.last_key = time.monotonic()
        if len(event.text) > LIMIT:
            limit = f"{LIMIT // 1_000_000} million characters"
            refusal = f"a paste of more than {limit} is too large: save it in the repository and name the file with @"
            self.post_message(self.Refused(refusal))
            return
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        self._replace_via_keyboard(self.pastes.mark(text) or text, *self.selection)

    def on_text_area_changed(self) -> None:
        """See whether there is something to complete."""
        self.post_message(self.Asking())

    def on_text_area_selection_changed(self) -> None:
        """See whether there is something to complete here."""
        self.post_message(self.Asking())

    @property
    def token(self) -> Token | None:
        """The word at the cursor, where it can be completed."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        if len(line) >= 10_000 or self.text in self.recall.entries[-1:]:
            return None
        return token_at(line, column, first_line=row == 0)

    def _enter(self) -> None:
        row, column = self.cursor_location
        line = self.document.get_line(row)
        if column == len(line) and line.endswith("\\"):
            self.replace("\n", (row, column - 1), (row, column))
            return
        self.take()

    @staticmethod
    def _own(event: events.Key) -> None:
        event.stop()
        event.prevent_default()


_PICKING = {"up": "up", "down": "down", "tab": "take", "enter": "enter", "escape": "leave", "ctrl+p": "up",
            "ctrl+n": "down"}  # fmt: skip
