"""What was typed while the model worked and waits for its turn."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual.widget import Widget

from qcode.ui.sanitize import visible
from qcode.ui.tui.canvas import Canvas

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """`text` is whole, `shown` is what the screen has of it. `typed`: the user wrote the text, and it may be a command;
    else it is for the model, whatever it begins with, and the user wrote what is shown."""

    text: str
    shown: str
    typed: bool = True


class Queue(Widget):
    """Inputs in the order in which they will be sent."""

    DEFAULT_CSS = "Queue { height: auto; padding: 0 1; color: $text-muted; display: none; }"

    def __init__(self, canvas: Canvas, changed: Callable[[tuple[str, ...]], None]) -> None:
        """`changed` is told what waits, as the user wrote it."""
        super().__init__()
        self.canvas = canvas
        self._changed = changed
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, one: Waiting) -> None:
        """One more."""
        self._waiting.append(one)
        self._update()

    def take(self) -> Waiting | None:
        """The next one."""
        taken = self._waiting.pop(0) if self._waiting else None
        self._update()
        return taken

    def withdraw(self) -> str:
        """All of them as one text, as the user wrote it, to be edited again."""
        text = "\n".join(self._words)
        self._waiting.clear()
        self._update()
        return text

    def render(self) -> Text:
        """The next three."""
        lines = []
        for one in self._waiting[:_SHOWN]:
            line = Text("queued  ", self.canvas.faint).append(
                " ".join(visible(one.shown[:400]).split()), self.canvas.strong
            )
            line.truncate(max(1, self.size.width), overflow="ellipsis")
            lines.append(line)
        if len(self._waiting) > _SHOWN:
            lines.append(Text(f"… and {len(self._waiting) - _SHOWN} more", self.canvas.faint))
        return Text("\n", no_wrap=True).join(lines)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """A line for each that is shown."""
        return min(len(self._waiting), _SHOWN + 1)

    @property
    def _words(self) -> tuple[str, ...]:
        return tuple(one.text if one.typed else one.shown for one in self._waiting)

    def _update(self) -> None:
        self._changed(self._words)
        self.display = bool(self._waiting)
        self.refresh(layout=True)
