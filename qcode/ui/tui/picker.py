"""A list to choose from, over the whole screen, narrowed by typing."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static

from qcode.ui.sanitize import visible
from qcode.ui.tui.canvas import Canvas
from qcode.ui.tui.complete import rank


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to pick: `value` is handed back, `label` is shown and searched, `about` is shown."""

    value: str
    label: str
    about: str = ""


class _List(Widget):
    DEFAULT_CSS = "_List { height: 1fr; }"

    def __init__(self, canvas: Canvas) -> None:
        super().__init__()
        self.canvas = canvas
        self.items: Sequence[Item] = ()
        self.at = 0

    def render(self) -> Text:
        """What fits, the chosen one among it."""
        room = max(1, self.size.height)
        first = max(0, min(self.at - room // 2, len(self.items) - room))
        lines = []
        for number, item in enumerate(self.items[first : first + room], start=first):
            line = Text().append(" ".join(visible(item.label).split()), self.canvas.strong if number == self.at else "")
            if item.about:
                line.append(f"  {visible(item.about)}", self.canvas.faint)
            line.truncate(self.size.width, overflow="ellipsis", pad=True)
            if number == self.at:
                line.stylize(self.canvas.chosen)
            lines.append(line)
        return Text("\n", no_wrap=True).join(lines) if lines else Text("nothing fits", self.canvas.faint)


class Picker(ModalScreen[str | None]):
    """Enter gives the chosen item's value, Esc None."""

    DEFAULT_CSS = """
    Picker { background: $background; padding: 0 1; }
    Picker > Static { height: 1; color: $accent; text-style: bold; }
    Picker > Input { height: 1; border: none; padding: 0; background: $panel; }
    """
    BINDINGS = [
        Binding("escape,ctrl+c", "leave", show=False, priority=True),
        Binding("enter", "take", show=False, priority=True),
    ]

    def __init__(self, title: str, items: Sequence[Item], canvas: Canvas, *, query: str = "") -> None:
        super().__init__()
        self._title, self._items, self._query = title, items, query
        self._list = _List(canvas)

    def compose(self) -> ComposeResult:
        """Title, filter, list."""
        title = f"{visible(self._title)} · type to search, Enter takes, Esc leaves"
        yield Static(Text(title, no_wrap=True, overflow="ellipsis"))
        yield Input(self._query, compact=True)
        yield self._list

    def on_mount(self) -> None:
        """Show everything that fits the first query."""
        self._narrow(self._query)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._narrow(event.value)

    def on_key(self, event: events.Key) -> None:
        """Move in the list."""
        steps = {"up": -1, "down": 1, "ctrl+p": -1, "ctrl+n": 1, "ctrl+r": 1, "pageup": -10, "pagedown": 10}
        if (by := steps.get(event.key)) is not None:
            event.stop()
            event.prevent_default()
            self._list.at = max(0, min(len(self._list.items) - 1, self._list.at + by))
            self._list.refresh()

    def action_take(self) -> None:
        """The chosen one."""
        items = self._list.items
        self.dismiss(items[self._list.at].value if items else None)

    def action_leave(self) -> None:
        """None of them."""
        self.dismiss(None)

    def _narrow(self, query: str) -> None:
        if query.strip():
            by_label: dict[str, Item] = {}
            for item in self._items:
                by_label.setdefault(visible(f"{item.label} {item.about}"), item)
            self._list.items = [by_label[name] for name in rank(query.strip(), list(by_label))]
        else:
            self._list.items = list(self._items)
        self._list.at = 0
        self._list.refresh()
