"""Which definitions matter most: those that much of what matters refers to.

PageRank over files (Brin and Page, 1998), as aider uses it for its repository map: a file that refers to a name gives
its rank to the files that define it. The walk starts anew at files that have to do with the task.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from qcode_tools.parsing.parser import Symbol, Tags

_DAMPING = 0.85
_ROUNDS = 30
_CLOSE_ENOUGH = 1e-6
_COMMON = 12
"""A name that is defined in more files than this tells nothing about any of them."""

_NAMED = 10.0
_HIDDEN = 0.1
_TEST = re.compile(r"(?:^|/)(?:tests?|spec|__tests__)/|(?:^|/)test_|_test\.|\.(?:test|spec)\.")
_PLAIN = re.compile("[a-z]{1,8}")
_WORD = re.compile(r"[A-Za-z_]\w{2,}")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A definition, its file, and its share of all rank."""

    path: str
    symbol: Symbol
    rank: float


def ranked(files: Mapping[str, Tags], task: str) -> list[Ranked]:
    """All definitions that a map may show, the most important first. `task` is text that names what matters now."""
    words = set(_WORD.findall(task))
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path, tags in files.items():
        for name in dict.fromkeys(symbol.name for symbol in tags.defined):
            places[name].append(path)
    links = _links(files, places, words)
    rank = _page_rank(list(files), links, _start(files, task, words))
    shares: defaultdict[tuple[str, str], float] = defaultdict(float)
    for path, targets in links.items():
        total = sum(targets.values())
        for (target, name), weight in targets.items():
            shares[target, name] += rank[path] * weight / total
    found: list[Ranked] = []
    for path, tags in files.items():
        times = Counter(symbol.name for symbol in tags.defined)
        for number, symbol in enumerate(tags.defined):
            share = shares.get((path, symbol.name), 0.0) / times[symbol.name]
            if share or symbol.kind != "constant":
                # Of what nobody refers to, the file's own rank decides, and the first definitions come first.
                found.append(Ranked(path, symbol, share + 1e-3 * rank[path] / (1 + number)))
    return sorted(found, key=lambda each: (-each.rank, each.path, each.symbol.line))


_Links = dict[str, dict[tuple[str, str], float]]
"""For each file, how strongly it refers to which name in which file."""


def _links(files: Mapping[str, Tags], places: Mapping[str, list[str]], words: set[str]) -> _Links:
    tests = {path for path in files if _TEST.search(path)}
    worth = {name: _worth(name, len(there), words) for name, there in places.items() if len(name) > 2}
    links: _Links = {}
    for path, tags in files.items():
        mine: dict[tuple[str, str], float] = {}
        for name, count in tags.referred.items():
            weight = worth.get(name, 0.0) * math.sqrt(count)
            if not weight:
                continue
            for target in places[name]:
                aside = target == path or (target in tests and path not in tests)
                mine[target, name] = weight * (_HIDDEN if aside else 1.0)
        if mine:
            links[path] = mine
    return links


def _worth(name: str, places: int, words: set[str]) -> float:
    """How much a reference to a name says that is defined in so many files; 0 for nothing."""
    if places > _COMMON:
        return 0.0
    # `get` or `run` is as likely the method of something else; `open_repository` is not.
    common = name.startswith("_") or _PLAIN.fullmatch(name)
    # A call says only a name: of two files that define it, either may be meant, so each counts for a quarter.
    return (_NAMED if name in words else 1.0) * (_HIDDEN if common else 1.0) / places**2


def _start(files: Mapping[str, Tags], task: str, words: set[str]) -> dict[str, float]:
    """How likely a walk begins at each file."""
    weights = {}
    for path, tags in files.items():
        weight = 1.0
        name = path.rpartition("/")[2]
        if path in task or (len(name) > 4 and name in task):
            weight += 10 * _NAMED
        elif name.partition(".")[0] in words:
            weight += _NAMED
        weight += _NAMED * min(3, len(words.intersection(symbol.name for symbol in tags.defined)))
        weights[path] = weight
    total = sum(weights.values()) or 1.0
    return {path: weight / total for path, weight in weights.items()}


def _page_rank(paths: list[str], links: _Links, start: Mapping[str, float]) -> dict[str, float]:
    edges: dict[str, list[tuple[str, float]]] = {}
    for path, targets in links.items():
        total = sum(targets.values())
        summed: defaultdict[str, float] = defaultdict(float)
        for (target, _), weight in targets.items():
            summed[target] += weight / total
        edges[path] = list(summed.items())
    rank = dict(start)
    for _ in range(_ROUNDS):
        idle = sum(rank[path] for path in paths if path not in edges)
        following = {path: (1 - _DAMPING + _DAMPING * idle) * start[path] for path in paths}
        for path, targets_of in edges.items():
            share = _DAMPING * rank[path]
            for target, weight in targets_of:
                following[target] += share * weight
        moved = sum(abs(following[path] - rank[path]) for path in paths)
        rank = following
        if moved < _CLOSE_ENOUGH:
            break
    return rank
