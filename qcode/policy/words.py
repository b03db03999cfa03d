"""The words of a shell script, as far as they can be told before it runs."""

import re
from dataclasses import dataclass, field

from qcode_tools.parsing.parser import Node

UNKNOWN = "\0"
"""Stands in a word for what is only known when the script runs."""

_ANSI = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL)
_ANSI_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
_HOME = re.compile(r"\$(?:HOME|\{HOME\})")


def _has_braces(text: str) -> bool:
    """Whether bash may make several words of it, as of {a,b} and {1..3}."""
    inner = text[text.find("{") + 1 : max(text.rfind("}"), 0)] if "{" in text else ""
    return "," in inner or ".." in inner


@dataclass(frozen=True, slots=True)
class Word:
    """`text` after quotes are removed, UNKNOWN where it cannot be told. A word with `dynamic` parts, or a `glob`, may
    become any number of words."""

    text: str
    dynamic: bool = False
    glob: bool = False

    @property
    def static(self) -> bool:
        """Whether the text is exactly what the program gets."""
        return not self.dynamic and not self.glob

    @property
    def head(self) -> str:
        """What the word surely begins with."""
        return re.split(f"[{UNKNOWN}*?[{{]", self.text, maxsplit=1)[0] if not self.static else self.text


@dataclass(slots=True)
class Syntax:
    """A node of the tree with its children, and the text below it."""

    type: str
    role: str
    start: int
    end: int
    named: bool
    text: str
    children: list["Syntax"] = field(default_factory=list)

    def descend(self) -> list["Syntax"]:
        """Everything below, in order."""
        found: list[Syntax] = []
        waiting = self.children[::-1]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting += node.children[::-1]
        return found


def build(nodes: list[Node], source: bytes) -> Syntax:
    """The tree of a list of nodes, each before its children. `nodes` is not empty."""
    line: list[Syntax] = []
    for node in nodes:
        text = source[node.start : node.end].decode("utf-8", "replace")
        made = Syntax(node.type, node.field, node.start, node.end, node.named, text)
        del line[node.depth :]
        if line:
            line[-1].children.append(made)
        line.append(made)
    return line[0]


def word(node: Syntax) -> Word:
    """What a node that stands as a word comes to."""
    match node.type:
        case "word" | "number" | "variable_name" | "special_variable_name" | "file_descriptor" | "test_operator":
            return _plain(node.text)
        case "raw_string":
            return Word(node.text[1:-1])
        case "ansi_c_string":
            return Word(_ANSI.sub(_ansi, node.text[2:-1]))
        case "string":
            return _quoted(node)
        case "command_name" if len(node.children) == 1:
            return word(node.children[0])
        case "concatenation":
            return _joined([word(child) for child in node.children], node.text)
        case "simple_expansion" | "expansion" if _HOME.fullmatch(node.text):
            return Word("~", dynamic=True)
        case "process_substitution":
            return Word(f"/dev/fd/{UNKNOWN}", dynamic=True)
        case _:
            return Word(UNKNOWN, dynamic=True)


def _plain(raw: str) -> Word:
    """A word without quotes."""
    bare = re.sub(r"\\.", "", raw, flags=re.DOTALL)
    glob = any(char in bare for char in "*?[") or _has_braces(bare)
    return Word(re.sub(r"\\(.)", lambda found: "" if found[1] == "\n" else found[1], raw, flags=re.DOTALL), glob=glob)


def _quoted(node: Syntax) -> Word:
    """A word in double quotes. The text between the children counts too: the grammar drops white space there."""
    source, first = node.text.encode(), node.start
    parts: list[str] = []
    dynamic, at = False, 1
    for child in node.children:
        if child.start - first < at or child.type == '"' or child.type == "string_content":
            continue
        parts.append(_unescaped(source[at : child.start - first]))
        inner = word(child)
        parts.append(inner.text)
        dynamic, at = True, child.end - first
    parts.append(_unescaped(source[at : len(source) - 1]))
    return Word("".join(parts), dynamic=dynamic)


def _unescaped(raw: bytes) -> str:
    return re.sub(r'\\([$`"\\\n])', lambda found: found[1].strip("\n"), raw.decode("utf-8", "replace"))


def _joined(parts: list[Word], raw: str) -> Word:
    braces = _has_braces(re.sub(r"'[^']*'|\"[^\"]*\"|\\.", "", raw))
    return Word(
        "".join(part.text for part in parts),
        dynamic=any(part.dynamic for part in parts),
        glob=braces or any(part.glob for part in parts),
    )


def _ansi(found: re.Match[str]) -> str:
    for digits, base in ((found[1] or found[2] or found[3], 16), (found[4], 8)):
        if digits:
            code = int(digits, base)
            return chr(code) if code < 0x110000 else UNKNOWN
    return _ANSI_LETTERS.get(found[5], found[5])
