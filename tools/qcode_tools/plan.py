"""What an edit makes of a file: pure functions from bytes and arguments to new bytes and words about them."""

import re
from dataclasses import dataclass, replace

from qcode_tools import show
from qcode_tools.closest import closest_region
from qcode_tools.document import Document, NotText, decode
from qcode_tools.errors import ToolError
from qcode_tools.files import File, encode
from qcode_tools.match import Several, locate, unfenced

_SMALL_ENOUGH = 6_000
"""Characters of a file that is given in full after two misses."""

EMPTY_OLD = "old_str is empty: give the text to replace"

_AROUND = 3
"""Lines before and after an insertion that tell whether its place is still the same."""

_ELISION = re.compile(
    r"^[ \t]*(?:(?:#|//|/\*|<!--|--|;)[ \t]*)?(?:\.\.\.|…)[ \t]*\(?(?:the )?"
    r"(?:rest|remaining|existing|other|unchanged|same|previous)\b.*$"
    r"|^[ \t]*(?:#|//|/\*|<!--|--|;)[ \t]*(?:the )?(?:rest of|existing|remaining|other|unchanged)\b.*(?:\.\.\.|…).*$",
    re.MULTILINE | re.IGNORECASE,
)
"""A line that stands for code that a model did not write out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The bytes before (None: no file) and after; `words` and `shown` (lines) for the model, `diff` for the user."""

    before: bytes | None
    after: bytes
    words: str
    shown: str
    diff: str


def replacement(file: File, old: str, new: str) -> Plan | Several | None:
    """Put `new` where `old` is; None if `old` is nowhere. Raises: ToolError."""
    document = file.document()
    if not is_prose(file.path) and "```" not in old:
        new = unfenced(new)
    found = locate(document.text, old, new)
    if found is None or isinstance(found, Several):
        return found
    if document.text[found.start : found.end] == found.new:
        raise ToolError(f"the lines in {file.shown} are as new_str has them already: nothing would change")
    how = f" ({found.note})" if found.note else ""
    first = document.text.count("\n", 0, found.start) + 1
    last = first + found.new.removesuffix("\n").count("\n") - (not found.new)
    changed = document.splice(found.start, found.end, found.new)
    return _plan(file, document, changed, words=f"Edited {file.shown}{how}.", lines=(first, last))


def replacement_of_all(file: File, old: str, new: str, *, expected: int | None) -> Plan | None:
    """Put `new` wherever `old` is, exactly; None if it is nowhere. Raises: ToolError, if not `expected` times too."""
    document = file.document()
    count = document.text.count(old)
    if count == 0:
        return None
    if expected is not None and count != expected:
        raise ToolError(
            f"the text to replace is in {file.shown} {count} times, and {expected} were expected; nothing was changed"
        )
    changed = document.substitute(old, new)
    first = document.text.count("\n", 0, document.text.find(old)) + 1
    last = changed.text.count("\n", 0, len(changed.text) - len(document.text) + document.text.rfind(old) + len(old)) + 1
    times = "once" if count == 1 else f"{count} times"
    return _plan(file, document, changed, words=f"Edited {file.shown}, {times}.", lines=(first, last))


def since(planned: Plan, before: bytes, name: str) -> Plan:
    """The same plan as seen from an earlier state of the file."""
    if planned.before == before:
        return planned
    return replace(planned, before=before, diff=bytes_diff(before, planned.after, name))


def insertion(file: File, line: int, text: str) -> Plan:
    """Put `text` after line `line`; 0 is before the first. Raises: ToolError."""
    document = file.document()
    check_line(file, document, line)
    text = (text if is_prose(file.path) else unfenced(text)).removesuffix("\n")
    at, unfinished = _line_start(document.text, line)
    changed = document.splice(at, at, f"\n{text}" if unfinished else f"{text}\n")
    lines = (line + 1, line + 1 + text.count("\n"))
    return _plan(file, document, changed, words=f"Inserted into {file.shown} after line {line}.", lines=lines)


def check_line(file: File, document: Document, line: int) -> None:
    """Raises: ToolError where the file has no such line to insert after."""
    count = document.line_count
    if not 0 <= line <= count:
        raise ToolError(f"insert_line must be 0 to {count}: {file.shown} has {count} line{'' if count == 1 else 's'}")


def creation(path: str, name: str, text: str) -> Plan:
    """A new file. Raises: ToolError."""
    text = text if is_prose(path) else unfenced(text)
    # The tool-call format drops the last newline of a value, and text files end with one.
    text += "\n" if text and not text.endswith("\n") else ""
    data = encode(Document(text), name)
    count = Document(text).line_count
    words = f"Created {name} ({count} line{'' if count == 1 else 's'})."
    return Plan(None, data, words, "", show.diff("", text.replace("\r\n", "\n"), name, created=True))


def overwriting(file: File, text: str) -> Plan:
    """Another text for a whole file, which keeps its encoding and line ends. Raises: ToolError."""
    try:
        old = decode(file.data)
    except NotText:
        old = Document("")
    text = text if is_prose(file.path) else unfenced(text)
    if text and not text.endswith("\n") and (old.text.endswith("\n") or not old.text):
        text += "\n"
    whole = "create replaces the whole file: write out all of it, or change only a part with str_replace."
    check_elision(text, old.text, whole)
    if text == old.text and old.text:
        raise ToolError(f"{file.shown} has exactly this content already: nothing was changed")
    new = old.splice(0, len(old.text), text)
    counts = f"{old.line_count} lines before, {new.line_count} now"
    words = f"Replaced all of {file.shown} ({counts})."
    return _plan(file, old, new, words=words, lines=None)


def rewriting(file: File, text: str) -> Plan:
    """The file with another text, most of which the model has just written itself. Raises: ToolError."""
    old = file.document()
    new = old.splice(0, len(old.text), text)
    return _plan(file, old, new, words=f"Edited {file.shown}.", lines=None)


def check_elision(text: str, old: str, what: str) -> None:
    """Raises: ToolError where a line of `text` stands for code that the model did not write out."""
    elision = _ELISION.search(text)
    if elision is not None and elision[0].strip() not in old:
        raise ToolError(f"not written: the line {elision[0].strip()!r} stands for code that is not there. {what}")


def bytes_diff(before: bytes, after: bytes, name: str) -> str:
    """A unified diff, "" where one of them is not text."""
    try:
        return show.diff(decode(before).text, decode(after).text, name)
    except NotText:
        return ""


def changed_meanwhile(file: File, seen: bytes, what: str) -> ToolError:
    """What to say when a file is not as the model knows it; `what` was to be done."""
    difference = bytes_diff(seen, file.data, file.shown)
    shown = f":\n{difference.rstrip()}" if 0 < len(difference) <= _SMALL_ENOUGH else ": view it."
    return ToolError(
        f"Nothing was written: {file.shown} was changed by something else since you last saw it{shown}\n"
        f"If {what} is still right, make the same call again."
    )


def same_around(file: File, seen: bytes, line: int) -> bool:
    """Whether the lines next to the end of line `line` are the same in both."""
    try:
        old, new = decode(seen).text.split("\n"), file.document().text.split("\n")
    except (NotText, ToolError):
        return False
    first = max(0, line - _AROUND)
    return old[first : line + _AROUND] == new[first : line + _AROUND]


def is_prose(path: str) -> bool:
    """Whether a Markdown fence may belong into the file."""
    return path.lower().endswith((".md", ".markdown", ".mdx", ".rst", ".txt", ".adoc"))


def ambiguous(name: str, several: Several) -> str:
    """What to say when there is more than one place."""
    lines = ", ".join(map(str, several.lines)) + (", ..." if several.more else "")
    return (
        f"old_str is not unique in {name}: it is at lines {lines}; nothing was changed. Add lines before or after it "
        "to old_str (and to new_str) until it is the only one."
    )


def shows_all(text: str, misses: int) -> bool:
    """Whether `not_found` gives the whole file."""
    return misses % 2 == 0 and len(text) <= _SMALL_ENOUGH


def not_found(file: File, old: str, new: str, misses: int) -> str:
    """What to say when `old` is nowhere; `misses` counts the edits of this file that failed so in a row."""
    name, text = file.shown, file.document().text
    said = [f"old_str was not found in {name}; nothing was changed."]
    if len(new.strip()) > 10 and (at := text.find(new.strip("\n"))) >= 0:
        said.append(f"new_str is in the file already, at line {text.count(chr(10), 0, at) + 1}.")
    if shows_all(text, misses):
        lines = text.removesuffix("\n").split("\n")
        said.append(f"This is all of {name} now:\n{show.numbered(lines, 1)}")
        said.append("Copy old_str exactly from it, without the line numbers, or write the whole file anew with create.")
        return "\n".join(said)
    closest = closest_region(text, old)
    if closest is None:
        said.append("Nothing in the file is like it: view the file, or find the right one with grep.")
    else:
        where = f"line {closest.first}" if closest.first == closest.last else f"lines {closest.first}-{closest.last}"
        said.append(f"The closest is at {where}:")
        said.append(show.region(text, closest.first, closest.last))
        said.append(closest.difference)
    if misses >= 2:
        said.append("Or write the whole file anew with create.")
    return "\n".join(said)


def _plan(file: File, old: Document, new: Document, *, words: str, lines: tuple[int, int] | None) -> Plan:
    return Plan(
        before=file.data,
        after=encode(new, file.shown),
        words=words,
        shown="" if lines is None else show.region(new.text, *lines),
        diff=show.diff(old.text, new.text, file.shown),
    )


def _line_start(text: str, line: int) -> tuple[int, bool]:
    """Offset after line `line`, and whether that line has no newline at its end."""
    position = 0
    for _ in range(line):
        end = text.find("\n", position)
        if end < 0:
            return len(text), True
        position = end + 1
    return position, False
