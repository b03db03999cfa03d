"""A small reader of GBNF, llama.cpp's language for grammars: it writes texts of a grammar, and tells which are of it.

Source: llama.cpp `grammars/README.md`.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Chars:
    """One character: of these, or with `negated` of all others."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def has(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated

    def one(self, chance: random.Random) -> str:
        if self.negated:
            wished = [c for c in 'ab \n<>/pft_=`"{é名' if self.has(c)]
            return chance.choice(wished)
        low, high = chance.choice(self.ranges)
        return chr(chance.randint(ord(low), ord(high)))


@dataclass(frozen=True, eq=False)
class Choice:
    """One of some sequences."""

    options: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Repeat:
    item: Any
    least: int
    most: int


class Rules:
    """A grammar's rules: each a Choice of sequences of Chars, Repeat, Choice and names (str)."""

    def __init__(self, text: str) -> None:
        self.rules = {}
        for line in text.splitlines():
            name, _, body = line.partition(" ::= ")
            assert re.fullmatch("[a-z][a-z0-9-]*", name), line
            self.tokens = re.findall(
                r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[a-z][a-z0-9-]*|\{\d+(?:,\d+)?\}|[()|*+?]', body
            )
            assert "".join(self.tokens).replace(" ", "") == body.replace(" ", ""), line
            self.rules[name] = self.options()
        self.costs = dict.fromkeys(self.rules, 1e9)
        while (costs := {name: self.cost_of(rule) for name, rule in self.rules.items()}) != self.costs:
            self.costs = costs

    def options(self) -> Choice:
        found: list[tuple[Any, ...]] = [()]
        while self.tokens and self.tokens[0] != ")":
            token = self.tokens.pop(0)
            if token == "|":
                found.append(())
                continue
            found[-1] += (self.repeated(self.item(token)),)
        return Choice(tuple(found))

    def item(self, token: str) -> Any:
        if token == "(":
            inner = self.options()
            assert self.tokens.pop(0) == ")"
            return inner
        if token[0] == '"':
            return Choice((tuple(Chars(((c, c),), False) for c in unescaped(token[1:-1])),))
        if token[0] == "[":
            negated = token[1] == "^"
            inside = re.findall(
                r"(\\x..|\\u....|\\U........|\\.|.)(?:-(\\x..|\\.|.))?", token[1 + negated : -1], re.DOTALL
            )
            return Chars(tuple((unescaped(a), unescaped(b or a)) for a, b in inside), negated)
        return token

    def repeated(self, item: Any) -> Any:
        if not self.tokens or self.tokens[0][0] not in "*+?{":
            return item
        mark = self.tokens.pop(0)
        if mark[0] == "{":
            least, _, most = mark[1:-1].partition(",")
            return Repeat(item, int(least), int(most or least))
        return Repeat(item, mark == "+", 1 if mark == "?" else 10**9)

    def sample(self, chance: random.Random, length: int) -> str:
        """Some text of the grammar, short of `length` where it can be."""
        written: list[str] = []
        todo: Any = ("root", None)
        while todo is not None:
            item, todo = todo
            short = sum(map(len, written)) > length
            match item:
                case Chars():
                    written.append(item.one(chance))
                case Repeat():
                    more = item.least or (item.most and not short and chance.random() < 0.7)
                    if more:
                        rest = Repeat(item.item, max(item.least - 1, 0), item.most - 1)
                        todo = (item.item, (rest, todo))
                case str():
                    todo = (self.rules[item], todo)
                case Choice():
                    option = min(item.options, key=self.cost) if short else chance.choice(item.options)
                    for part in reversed(option):
                        todo = (part, todo)
        return "".join(written)

    def cost(self, sequence: tuple[Any, ...]) -> float:
        """How many characters the sequence takes at least."""
        return sum(map(self.cost_of, sequence))

    def cost_of(self, item: Any) -> float:
        match item:
            case Chars():
                return 1
            case Repeat():
                return item.least * self.cost_of(item.item) if item.least else 0
            case Choice():
                return min(map(self.cost, item.options))
            case _:
                return self.costs[item]

    def accepts(self, text: str) -> bool:
        """Whether the whole text is of the grammar; all readings are followed at once."""
        states = set(self.expanded(("root", None)))
        for character in text:
            states = {
                after
                for state in states
                if state is not None and state[0].has(character)
                for after in self.expanded(state[1])
            }
        return None in states

    def expanded(self, state: Any) -> Iterator[Any]:
        """The states that begin with a character, or None for the end."""
        todo, seen = [state], set()
        while todo:
            state = todo.pop()
            if state is None or isinstance(state[0], Chars):
                yield state
                continue
            item, rest = state
            if isinstance(item, Repeat):
                if not item.least:
                    todo.append(rest)
                if item.most:
                    todo.append((item.item, (Repeat(item.item, max(item.least - 1, 0), item.most - 1), rest)))
                continue
            choice = self.rules[item] if isinstance(item, str) else item
            if (choice, rest) in seen:
                continue
            seen.add((choice, rest))
            for option in choice.options:
                following = rest
                for part in reversed(option):
                    following = (part, following)
                todo.append(following)


def unescaped(text: str) -> str:
    plain = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(
        r"\\(x..|u....|U........|.)",
        lambda match: chr(int(match[1][1:], 16)) if len(match[1]) > 1 else plain.get(match[1], match[1]),
        text,
        flags=re.DOTALL,
    )
