"""Pieces of llama.cpp's grammar language GBNF: literals, and text that must not contain some strings.

Source: llama.cpp `grammars/README.md`.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby


def literal(text: str) -> str:
    """A quoted string."""
    return '"' + "".join(map(_in_quotes, text)) + '"'


def char_class(characters: Iterable[str], *, negated: bool = False) -> str:
    """One character of these, or with `negated` one of all others."""
    return "[" + "^" * negated + "".join(_in_class(character) for character in sorted(set(characters))) + "]"


def alternatives(options: Iterable[str]) -> str:
    """One of these, in parentheses."""
    return "(" + " | ".join(options) + ")"


def one_of(texts: Iterable[str]) -> str:
    """One of these texts, in parentheses, with what they begin with in common written once.

    The engine compares each token that the model may write with every alternative that is still open: with lines of a
    file, which begin alike, that is most of the cost.
    """
    return f"({_one_of(sorted(set(texts)))})"


def _one_of(texts: Sequence[str]) -> str:
    options = []
    for _, group in groupby(texts, key=lambda text: text[:1]):
        members = list(group)
        shared = _common_start(members[0], members[-1])
        rest = [text[len(shared) :] for text in members]
        options.append(literal(shared) if rest == [""] else f"{literal(shared)} ({_one_of(rest)})")
    return " | ".join(options)


def _common_start(first: str, last: str) -> str:
    """What the first and the last of a sorted list begin with, and so all between them."""
    for index, pair in enumerate(zip(first, last, strict=False)):
        if pair[0] != pair[1]:
            return first[:index]
    return first if len(first) < len(last) else last


def text_without(
    name: str,
    *,
    end: str,
    after_end: str,
    final: str,
    forbidden: Sequence[str] = (),
    ending: Mapping[str, str] | None = None,
    start: str = "",
) -> list[str]:
    """Rules, the first called `name`, for any text up to and with `end` and `final`.

    `end` that goes on with a character which is not in `after_end` is part of the text; `forbidden` strings never
    occur in it; after a string of `ending` the text is over and goes on with what belongs to it. `start` is what is
    thought to stand before the text. The rules are an Aho-Corasick automaton, each state a rule that ends with the next
    one, so that the engine's stack does not grow with the text.
    """
    ending = ending or {}
    patterns = (end, *forbidden, *ending)
    automaton = _Automaton(patterns)
    first = 0
    for character in start:
        first = automaton.follow(first, character)
    rules = [f"{name} ::= {name}-{first}"]
    alphabet = sorted(set("".join(patterns)))
    for state in range(len(automaton.nodes)):
        if automaton.matches(state, forbidden):
            continue
        if automaton.matches(state, (end,)):
            rules.append(f"{name}-{state} ::= {literal(final)} | {char_class(after_end, negated=True)} {name}-0")
            continue
        if over := [rest for pattern, rest in ending.items() if automaton.matches(state, (pattern,))]:
            rules.append(f"{name}-{state} ::= {literal(over[0])}")
            continue
        targets = {character: automaton.follow(state, character) for character in alphabet}
        special = {character: target for character, target in targets.items() if target}
        options = [
            f"{literal(character)} {name}-{target}"
            for character, target in special.items()
            if not automaton.matches(target, forbidden)
        ]
        options.append(f"{char_class(special, negated=True)} {name}-0")
        rules.append(f"{name}-{state} ::= " + " | ".join(options))
    return rules


@dataclass(slots=True)
class _Node:
    prefix: str
    children: dict[str, int] = field(default_factory=dict)
    suffix: int = 0


class _Automaton:
    """Aho and Corasick's: the state is the longest beginning of a pattern that the text ends with."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.nodes = [_Node("")]
        for pattern in patterns:
            state = 0
            for character in pattern:
                state = self._child(state, character)
        queue = deque(self.nodes[0].children.values())
        while queue:
            state = queue.popleft()
            for character, child in self.nodes[state].children.items():
                self.nodes[child].suffix = self.follow(self.nodes[state].suffix, character)
                queue.append(child)

    def _child(self, state: int, character: str) -> int:
        children = self.nodes[state].children
        if character not in children:
            children[character] = len(self.nodes)
            self.nodes.append(_Node(self.nodes[state].prefix + character))
        return children[character]

    def follow(self, state: int, character: str) -> int:
        while state and character not in self.nodes[state].children:
            state = self.nodes[state].suffix
        return self.nodes[state].children.get(character, 0)

    def matches(self, state: int, patterns: Sequence[str]) -> bool:
        """Whether the text that led to `state` ends with one of the patterns."""
        return any(self.nodes[state].prefix.endswith(pattern) for pattern in patterns)


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def _in_quotes(character: str) -> str:
    return '\\"' if character == '"' else _printable(character)


def _in_class(character: str) -> str:
    return "\\" + character if character in "]^-[" and character != "-" else _printable(character)


def _printable(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 32 <= code < 127:
        return character
    return f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}"
