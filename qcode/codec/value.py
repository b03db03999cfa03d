"""One argument's text as it arrives: takes the framing newlines away (rules W1 to W3)."""


class Value:
    """`add` text in any pieces, which returns what can be shown by then; then `close`.

    One line break after the header and one before the closing tag belong to the template: the first decides whether
    a break is LF or CRLF.
    """

    __slots__ = ("_break", "_held", "_opened", "_parts", "shown")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._break = "\n"
        self._opened = False
        self._held = ""
        self.shown = 0
        """Characters that `add` has returned."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet but framing."""
        return not self.shown

    @property
    def text(self) -> str:
        """The value so far; whole after `close`."""
        return "".join(self._parts)

    def add(self, text: str) -> str:
        """Some more of the raw text between the tags."""
        text = self._held + text
        self._held = ""
        if not self._opened:
            if text in ("", "\r"):
                self._held = text
                return ""
            self._opened = True
            if text.startswith("\r\n"):
                self._break = "\r\n"
                text = text[2:]
            elif text.startswith("\n"):
                text = text[1:]
        if text.endswith(self._break):
            self._held = self._break
        elif self._break == "\r\n" and text.endswith("\r"):
            self._held = "\r"
        shown = text[: len(text) - len(self._held)]
        if shown:
            self._parts.append(shown)
            self.shown += len(shown)
        return shown

    def text_if_closed(self) -> str:
        """The whole value, should the closing tag stand here."""
        return self.text + ("" if self._held == self._break else self._held)

    def close(self) -> None:
        """The value ends before its closing tag."""
        if self._held != self._break:
            self._parts.append(self._held)
        self._held = ""
