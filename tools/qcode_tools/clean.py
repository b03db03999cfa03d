"""Text that is safe to show: no escape sequence, control character or hidden direction mark reaches a terminal."""

import re
from collections.abc import Callable, Iterator

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor movement
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
)
"""ECMA-48 control sequences; one that is not finished ends with its line."""

_DROPPED = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, direction marks, invisible separators, lone surrogates, tag characters. The zero-width joiners U+200C and
U+200D stay: Persian, Indic scripts and emoji are written with them."""


_BLOCK = 200_000
"""Characters that are worked on at once: a thread that does so lets others run in between."""


def clean(output: str) -> str:
    """A command's output as a screen would show it in the end: no sequences, progress bars at their last state."""
    return "".join(map(_clean, _blocks(output)))


def _blocks(text: str) -> Iterator[str]:
    """The text in parts that end with a line."""
    start = 0
    while len(text) - start > _BLOCK:
        end = text.find("\n", start + _BLOCK) + 1 or len(text)
        yield text[start:end]
        start = end
    yield text[start:]


def _clean(output: str) -> str:
    text = _SEQUENCE.sub("", output)
    if "\r" in text:
        text = re.sub(r"\r+\n", "\n", text)
        if "\r" in text:
            text = "\n".join(map(_last_state, text.split("\n")))
    if "\b" in text:
        text = "\n".join(map(_backspaced, text.split("\n")))
    return visible(_DROPPED.sub("", text))


def visible(text: str) -> str:
    """Write what cannot be seen, or would act on a terminal, as an escape such as `\\x1b` or `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_HIDDEN.sub(_escape, block.replace("\r\n", "\n")) for block in _blocks(text))


def _escape(found: re.Match[str]) -> str:
    point = ord(found[0])
    if point < 0x100:
        return f"\\x{point:02x}"
    if 0xDC80 <= point <= 0xDCFF:
        return f"\\x{point - 0xDC00:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _last_state(line: str) -> str:
    if "\r" not in line:
        return line
    return next((state for state in reversed(line.split("\r")) if state), "")


def _backspaced(line: str) -> str:
    if "\b" not in line:
        return line
    kept: list[str] = []
    for char in line:
        if char != "\b":
            kept.append(char)
        elif kept:
            kept.pop()
    return "".join(kept)


class LiveCleaner:
    """Cleans output that comes in pieces. What may still change (a progress bar, half a sequence) is held back."""

    _HELD_AT_MOST = 16_384
    _SENT_AT_MOST = 400_000
    _TAKEN_AT_MOST = 2_000_000
    """Of what mostly vanishes, such as a progress bar, little is sent and much would have to be cleaned."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._held = ""
        self._sent = 0
        self._taken = 0

    def feed(self, chunk: str) -> None:
        """Take the next piece; complete lines, and plain text of the unfinished one, go out at once, up to a bound."""
        if self._sent >= self._SENT_AT_MOST or self._taken >= self._TAKEN_AT_MOST:
            return
        self._taken += len(chunk)
        text = self._held + chunk
        cut = text.rfind("\n") + 1
        if not re.search(r"[\r\b\x1b\x80-\x9f]", text[cut:]) or len(text) - cut > self._HELD_AT_MOST:
            cut = len(text)
        self._held = text[cut:]
        self._send(text[:cut])

    def finish(self) -> None:
        """Send what was held back."""
        held, self._held = self._held, ""
        self._send(held)

    def _send(self, text: str) -> None:
        cleaned = clean(text)
        self._sent += len(cleaned)
        if self._sent >= self._SENT_AT_MOST or self._taken >= self._TAKEN_AT_MOST:
            self._held = ""
            cleaned += "\n[more output is not shown as it comes]\n"
        if cleaned:
            self._emit(cleaned)
