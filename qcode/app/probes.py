"""Calls like the examples of a task, with other arguments, to see where changes that pass all examples still differ.

Nothing says what they should give. But what is right is so in one way and what is wrong in many, so the answer that
most attempts come to is likely the right one: choosing by agreement of outputs is from Shi et al., "Natural Language to
Code Translation with Execution" (EMNLP 2022).
"""

import ast
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product, zip_longest

from qcode.agent.examples import Example

MOST = 24
SECONDS_EACH = 1
_LONGEST = 2_000
"""Characters of an example that is varied."""
_COMBINED = 200

Answers = Sequence[str | None]
"""What each probe gave, as text; None where it failed."""


def probes(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Variations of the calls in examples whose values are written out, the same for the same examples."""
    calls = [call for example in examples for call in _call(example.source)]
    known = {call.written(call.arguments) for call in calls}
    by_name: dict[str, list[_Call]] = defaultdict(list)
    for call in calls:
        by_name[call.around % call.name].append(call)
    chance = random.Random(0)
    ways = [mixed for same in by_name.values() for mixed in [list(_mixed(same))]]
    ways += [list(_varied(call)) for call in calls]
    for way in ways:
        chance.shuffle(way)
    # Every example has its turn, so that no one takes all places.
    turns = (source for turn in zip_longest(*ways) for source in turn if source is not None and source not in known)
    return tuple(Example(source, None) for source in islice(dict.fromkeys(turns), MOST))


def votes(answers: Sequence[Answers], weights: Sequence[int]) -> list[float]:
    """For each candidate, how many attempts gave its answers, a mean over the probes that tell something; a candidate
    stands for as many attempts as its weight. A probe that most of them cannot answer asks for what is not allowed."""
    said: list[float] = [0.0] * len(answers)
    asked = 0
    for column in zip(*answers, strict=True):
        counted: Counter[str | None] = Counter()
        for answer, weight in zip(column, weights, strict=True):
            counted[answer] += weight
        if 2 * counted[None] > sum(weights) or len(counted) == 1:
            continue
        asked += 1
        for number, answer in enumerate(column):
            said[number] += counted[answer] if answer is not None else 0
    return [round(one / asked, 3) if asked else 0.0 for one in said]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call with written values, and the expression that it stands in, with a place for it. `names` are those of its
    arguments, with "=", or ""."""

    name: str
    values: tuple[ast.expr, ...]
    names: tuple[str, ...]
    around: str

    @property
    def arguments(self) -> list[str]:
        """The values as they are written."""
        return [ast.unparse(value) for value in self.values]

    def written(self, arguments: Sequence[str]) -> str:
        """The expression with other arguments."""
        said = ", ".join(name + argument for name, argument in zip(self.names, arguments, strict=True))
        return self.around % f"{self.name}({said})"


def _call(source: str) -> Iterator[_Call]:
    """The call in an example that has values which can be varied, if there is one."""
    if len(source) > _LONGEST:
        return
    try:
        body = ast.parse(source, mode="eval").body
        whole = ast.unparse(body)
        for node in ast.walk(body):
            if isinstance(node, ast.Call):
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                names = ["" for _ in node.args] + [f"{keyword.arg}=" for keyword in node.keywords if keyword.arg]
                if values and len(names) == len(values) and all(_read(value) is not None for value in values):
                    before, _, after = whole.partition(ast.unparse(node))
                    around = "%s".join(part.replace("%", "%%") for part in (before, after))
                    yield _Call(ast.unparse(node.func), tuple(values), tuple(names), around)
                    return
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return


def _read(node: ast.expr) -> "tuple[object] | None":
    """A written value, in a tuple since it may be None."""
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _mixed(calls: Sequence[_Call]) -> Iterator[str]:
    """Arguments of several examples of one function, exchanged."""
    for names in dict.fromkeys(call.names for call in calls):
        alike = [call for call in calls if call.names == names]
        columns = [list(dict.fromkeys(column)) for column in zip(*(call.arguments for call in alike), strict=True)]
        for arguments in islice(product(*columns), _COMBINED):
            yield alike[0].written(arguments)


def _varied(call: _Call) -> Iterator[str]:
    """One argument at a time a little different, or two of them exchanged."""
    arguments = call.arguments
    for place, node in enumerate(call.values):
        read = _read(node)
        assert read is not None, "only such calls are varied"
        for other in islice(_near(read[0]), _COMBINED):
            yield call.written([*arguments[:place], repr(other), *arguments[place + 1 :]])
    for place in range(len(arguments) - 1):
        exchanged = arguments.copy()
        exchanged[place : place + 2] = reversed(arguments[place : place + 2])
        yield call.written(exchanged)


def _near(value: object) -> Iterator[object]:
    """Values of the same type that are a little different."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value - 1, value + 2, 2 * value, value // 2, 0, 1)
        case float():
            yield from (value + 0.5, value / 2, 2 * value, -value)
        case str():
            yield from (value[1:], value[:-1], value[::-1], value + value, value[:1] + value)
        case list():
            yield from (value[1:], value[:-1], value[::-1], value + value[:1], value + value)
            for place, item in enumerate(value):
                for other in islice(_near(item), 3):
                    yield [*value[:place], other, *value[place + 1 :]]
        case tuple():
            yield from (tuple(other) for other in _near(list(value)) if isinstance(other, list))
        case dict():
            for key, item in value.items():
                yield {name: one for name, one in value.items() if name != key}
                for other in islice(_near(item), 3):
                    yield {**value, key: other}
        case _:
            return
