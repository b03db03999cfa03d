"""A text file as bytes and back: encoding, byte-order mark, line ends and broken bytes are kept exactly."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 before UTF-16: the little-endian mark of the one begins with that of the other."""

_COOKIE = re.compile(
    rb"^[ \t\f]*(?:#|//|/\*|--|;|<\?xml).*?(?:coding[:=]|encoding=)[ \t]*[\"']?([-\w.]+)", re.MULTILINE
)
"""A declared encoding, as in PEP 263, of the first two lines."""

_STATELESS = re.compile(r"gb|big5|euc_|shift_jis|cp\d|iso8859|koi8|mac-|latin|ascii|johab")
"""Codecs that write a text the same way wherever it stands, so that a hunk can be written by itself."""

_HAN_PAIR = re.compile(rb"[\xa1-\xa3\xb0-\xf7][\xa1-\xfe]")
"""GB 2312: punctuation, full-width letters, Han characters."""


class NotText(ValueError):
    """For the caller: the bytes are not text."""


@dataclass(frozen=True, slots=True)
class Document:
    """`text` has "\\n" at every line end. `crlf` is None where all line ends are `eol`; else it has one byte for each
    "\\n" of `text`, 1 where the file has "\\r\\n"."""

    text: str
    encoding: str = "utf-8"
    errors: str = "strict"
    bom: bytes = b""
    eol: str = "\n"
    crlf: bytes | None = None

    @property
    def line_count(self) -> int:
        """Lines as an editor counts them: an unfinished last line is one, the nothing after a final newline is not."""
        return self.text.count("\n") + (bool(self.text) and not self.text.endswith("\n"))

    def splice(self, start: int, end: int, new: str) -> "Document":
        """Put `new` in the place of text[start:end]; new lines take the dominant line end, kept lines keep theirs."""
        text = self.text[:start] + new + self.text[end:]
        if self.crlf is None:
            return replace(self, text=text)
        old = self.text[start:end]
        head = common_prefix(old, new)
        tail = common_prefix(old[head:][::-1], new[head:][::-1])
        before = self.text.count("\n", 0, start + head)
        removed = self.text.count("\n", start + head, end - tail)
        added = new.count("\n", head, len(new) - tail)
        kind = b"\x01" if self.eol == "\r\n" else b"\x00"
        return replace(self, text=text, crlf=self.crlf[:before] + kind * added + self.crlf[before + removed :])

    def substitute(self, old: str, new: str) -> "Document":
        """Put `new` in the place of every `old`, from left to right; in linear time."""
        parts = self.text.split(old)
        changed = replace(self, text=new.join(parts))
        removed, added = old.count("\n"), new.count("\n")
        if self.crlf is None or removed == added:
            return changed
        kinds = (b"\x01" if self.eol == "\r\n" else b"\x00") * added
        ends: list[bytes] = []
        at = 0
        for part in parts:
            count = part.count("\n")
            ends.append(self.crlf[at : at + count])
            at += count + removed
        return replace(changed, crlf=kinds.join(ends))

    def encode(self) -> bytes:
        """The file's bytes. Raises: UnicodeEncodeError where the text does not fit the encoding."""
        if self.crlf is None:
            text = self.text if self.eol == "\n" else self.text.replace("\n", self.eol)
        else:
            lines = self.text.split("\n")
            ends = ["\r\n" if kind else "\n" for kind in self.crlf]
            text = "".join(line + end for line, end in zip(lines, ends, strict=False)) + lines[-1]
        return self.bom + text.encode(self.encoding, self.errors)


def common_prefix(a: str, b: str) -> int:
    """How many characters `a` and `b` begin with in common, in linear time at the speed of a comparison."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def decode(data: bytes) -> Document:
    """Read a file's bytes as text; what comes back encodes to the same bytes. Raises: NotText."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            body = data[len(bom) :]
            text = _exact(body, encoding, "strict")
            if text is not None:
                return _lines(Document(text, encoding, bom=bom))
    if b"\0" in data:
        raise NotText("it has NUL bytes")
    for encoding, errors in _candidates(data):
        text = _exact(data, encoding, errors)
        if text is not None:
            return _lines(Document(text, encoding, errors))
    raise NotText("no encoding fits")


def _candidates(data: bytes) -> Iterator[tuple[str, str]]:
    yield "utf-8", "strict"
    declared = _COOKIE.search(b"\n".join(data[:400].split(b"\n")[:2]))
    if declared is not None:
        try:
            name = codecs.lookup(declared[1].decode("ascii")).name
        except (LookupError, UnicodeDecodeError):
            name = ""
        if _STATELESS.match(name):
            yield name, "strict"
    if _is_chinese(data):
        yield "gb18030", "strict"
    loose = data.decode("utf-8", "surrogateescape")
    sound = sum(1 for c in loose if c > "\x7f" and not "\udc80" <= c <= "\udcff")
    broken = sum(1 for c in loose if "\udc80" <= c <= "\udcff")
    # A UTF-8 file with a few broken bytes, as against a file of another, single-byte encoding.
    if sound >= broken:
        yield "utf-8", "surrogateescape"
    yield "cp1252", "strict"
    yield "latin-1", "strict"


def _is_chinese(data: bytes) -> bool:
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return False
    foreign = sum(1 for c in text if c > "\x7f")
    # Common characters are two high bytes, as GB 2312 has them; an accented letter stands between ASCII ones.
    return foreign >= 2 and len(_HAN_PAIR.findall(data)) >= 0.9 * foreign


def _exact(data: bytes, encoding: str, errors: str) -> str | None:
    try:
        text = data.decode(encoding, errors)
        return text if text.encode(encoding, errors) == data else None
    except (UnicodeError, LookupError):
        return None


def _lines(document: Document) -> Document:
    text = document.text
    pairs, feeds = text.count("\r\n"), text.count("\n")
    if pairs == 0 and (feeds or "\r" not in text):
        return document
    if pairs == feeds == 0:
        return replace(document, text=text.replace("\r", "\n"), eol="\r")
    normal = text.replace("\r\n", "\n")
    if pairs == feeds:
        return replace(document, text=normal, eol="\r\n")
    kinds = bytes(found[0] == "\r\n" for found in re.finditer("\r\n|\n", text))
    return replace(document, text=normal, eol="\r\n" if 2 * pairs > feeds else "\n", crlf=kinds)
