"""A tool call in the transcript: it unfolds while it is written, runs, and ends with the head of its result."""

from collections.abc import Mapping
from typing import Any

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from qcode.messages import ToolCall
from qcode.ui.sanitize import visible
from qcode.ui.tui.blocks import Block
from qcode.ui.tui.canvas import Canvas, indented
from qcode.ui.tui.difftext import diff_strips, edit_lines, is_diff
from qcode_tools.result import Status, ToolResult

PATHS = ("path", "file_path", "absolute_path")
OLD, NEW = ("old_str", "old_string"), ("new_str", "new_string", "new_code", "file_text", "content")
_LIVE_LINES, _HEAD_LINES, _DIFF_LINES, _OUTPUT_LINES = 16, 8, 24, 6
_KEPT = 60_000
"""Characters of a result or an output that stay in memory; the session's log has all of it."""


class CallBlock(Block):
    """One call, from its first letter to its result."""

    folds = True

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name
        self.arguments: dict[str, Any] = {}
        self.raw = ""
        self.call_id: str | None = None
        self.written = False
        self.note = ""
        self._writing: dict[str, list[str]] = {}
        self._output = ""
        self._result: ToolResult | None = None
        self._seconds = 0.0

    @property
    def weight(self) -> int:
        """Characters that it keeps in memory."""
        result = len(self._result.content) + len(self._result.display) if self._result else 0
        return 200 + len(self.raw) + len(self._output) + result + sum(len(str(v)) for v in self.arguments.values())

    def write(self, argument: str, text: str) -> None:
        """Some more of an argument, or of raw JSON."""
        if argument:
            self._writing.setdefault(argument, []).append(text)
        else:
            self.raw += text

    def complete(self, argument: str, value: Any) -> None:
        """One argument is known."""
        self._writing.pop(argument, None)
        self.arguments[argument] = value

    def settle(self, call: ToolCall) -> None:
        """The whole call is known."""
        self.name, self.arguments, self.call_id = call.name, dict(call.arguments), call.id
        self._writing, self.raw, self.written = {}, "", True

    def output(self, text: str) -> None:
        """Some more of what it prints while it runs."""
        self._output = (self._output + text)[-_KEPT:]

    def finish(self, result: ToolResult, seconds: float) -> None:
        """It was answered."""
        short = {"content": _cut(result.content), "display": _cut(result.display), "extra": {}}
        self._result, self._seconds, self._output = result.model_copy(update=short), seconds, ""
        self.arguments = {
            key: _cut(value) if isinstance(value, str) else value for key, value in self.arguments.items()
        }

    def draw(self, canvas: Canvas, width: int) -> list[Strip]:
        """A title, what it changes or runs, and what came of it."""
        known = self._known()
        title = canvas.draw(self._title(known, canvas), width - 2)
        mark, style = self._mark(canvas)
        lines = indented(title if self.unfolded else title[:3], Segment(mark, style), Segment("  "))
        body = self._body(known, canvas, width - 2)
        return [*lines, *indented(body, Segment("  "), Segment("  "))]

    def _known(self) -> dict[str, Any]:
        return {**self.arguments, **{key: "".join(parts) for key, parts in self._writing.items()}}

    def _mark(self, canvas: Canvas) -> tuple[str, Style]:
        if self._result is None:
            return ("◌ ", canvas.faint) if not self.written else ("◍ ", canvas.accent)
        match self._result.status:
            case Status.OK:
                return "● ", canvas.good
            case Status.ERROR:
                return "● ", canvas.bad
            case _:
                return "○ ", canvas.warn

    def _title(self, known: Mapping[str, Any], canvas: Canvas) -> Text:
        # A tool of many verbs is told by its verb.
        verb = str(known.get("command", "")) if any(key in known for key in PATHS) else ""
        text = Text(overflow="fold").append(visible(verb or self.name or "…"), canvas.call)
        known = {key: value for key, value in known.items() if key != "command"} if verb else known
        changes = any(key in known for key in (*OLD, *NEW))
        for key, value in known.items():
            if key in (*OLD, *NEW, "edits") and changes:
                continue
            plain = key in PATHS or key == "command"
            text.append(f"  {_oneline(value)}" if plain else f"  {key}={_oneline(value)}", canvas.strong if plain
                        else canvas.faint)  # fmt: skip
        if self.raw and not known:
            text.append(f"  {_oneline(self.raw)}", canvas.faint)
        if self._result is not None and self._seconds >= 1:
            text.append(f"  {self._seconds:.1f} s", canvas.faint)
        return text

    def _body(self, known: Mapping[str, Any], canvas: Canvas, width: int) -> list[Strip]:
        if self._result is not None:
            return self._answered(self._result, known, canvas, width)
        lines: list[Strip] = []
        if changes := self._changes(known):
            drawn = diff_strips(changes if self.unfolded else changes[-_LIVE_LINES:], canvas, width)
            hidden = 0 if self.unfolded else max(0, len(changes) - _LIVE_LINES)
            lines += [*_more(hidden, "above", canvas, width), *drawn]
        if self._output:
            tail = self._output.rstrip("\n").split("\n")[-_OUTPUT_LINES:]
            lines += canvas.text("\n".join(line[-4 * width :] for line in tail), width, canvas.faint)[-_OUTPUT_LINES:]
        return lines

    def _changes(self, known: Mapping[str, Any]) -> list[str]:
        old = next((str(known[key]) for key in OLD if key in known), "")
        new = next((str(known[key]) for key in NEW if key in known), "")
        return edit_lines(old, new, complete=self.written) if old or new else []

    def _answered(self, result: ToolResult, known: Mapping[str, Any], canvas: Canvas, width: int) -> list[Strip]:
        text = (result.display or result.content).rstrip("\n")
        if is_diff(text):
            lines = [line for line in text.split("\n") if not line.startswith(("--- ", "+++ ", "diff ", "index "))]
            shown = lines if self.unfolded else lines[:_DIFF_LINES]
            return [*diff_strips(shown, canvas, width), *_more(len(lines) - len(shown), "", canvas, width)]
        drawn: list[Strip] = []
        if self.unfolded and (changes := self._changes(known)):
            drawn += diff_strips(changes, canvas, width)
        lines = text.split("\n") if text else []
        shown = lines if self.unfolded else lines[:_HEAD_LINES]
        style = canvas.bad if result.status is Status.ERROR else canvas.faint
        head = [line if self.unfolded else line[: 4 * width] for line in shown]
        return [*drawn, *(canvas.text("\n".join(head), width, style) if head else []),
                *_more(len(lines) - len(shown), "", canvas, width)]  # fmt: skip


def _more(lines: int, where: str, canvas: Canvas, width: int) -> list[Strip]:
    if lines <= 0:
        return []
    return canvas.text(
        f"… {lines:,} more line{'s' * (lines != 1)}{' ' * bool(where)}{where} · ctrl+o", width, canvas.faint
    )


def _oneline(value: object) -> str:
    text = visible(value if isinstance(value, str) else repr(value)).strip()
    first, _, rest = text.partition("\n")
    return (first if len(first) <= 160 else first[:160] + "…") + (" …" if rest else "")


def _cut(text: str) -> str:
    if len(text) <= _KEPT:
        return text
    return f"{text[:_KEPT]}\n… {len(text) - _KEPT:,} more characters in the session's log"
