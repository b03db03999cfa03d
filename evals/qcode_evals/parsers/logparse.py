"""Test logs to a table of statuses, by the parsers that SWE-bench's rows name.

Behaviour, not code, follows swebench 5.0.2; tests/evals/test_logparse.py and `qcode-evals official` compare.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

from qcode_evals.parsers.javascript import JAVASCRIPT
from qcode_evals.parsers.others import OTHERS
from qcode_evals.parsers.python import PYTHON
from qcode_evals.parsers.status import Found, Status, Statuses

PYTHON_PARSERS = frozenset(PYTHON)
"""Of runners that a witness can watch."""

_OTHERS: Mapping[str, Callable[[str], Found]] = {**JAVASCRIPT, **OTHERS}
PARSERS = PYTHON_PARSERS | _OTHERS.keys()

UNREADABLE = frozenset({"parse_log_lighthouse", "parse_log_next", "parse_log_p5js", "parse_log_quarto_cli"})
"""Parsers of SWE-bench Multimodal that are not here."""


def parse_each(parser: str, log: str) -> dict[str, list[Status]]:
    """All that the log says of each test, in its order. Raises: KeyError for a parser that is not in PARSERS."""
    if parser in PYTHON:
        return {name: [status] for name, status in PYTHON[parser](log).items()}
    found: defaultdict[str, list[Status]] = defaultdict(list)
    for name, status in _OTHERS[parser](log):
        found[name].append(status)
    return dict(found)


def parse(parser: str, log: str) -> Statuses:
    """Status of every test that the log names; the last one counts. Raises: KeyError as above."""
    return {name: found[-1] for name, found in parse_each(parser, log).items()}


def status_of(test: str, statuses: Statuses) -> Status | None:
    """Status of a listed test, or None if the log does not have it.

    A list entry that was cut in the middle of its parameters ("test[a") stands for every test that begins with it, if
    these agree on whether they pass.
    """
    if test in statuses:
        return statuses[test]
    if test.count("[") <= test.count("]"):
        return None
    found = [status for name, status in statuses.items() if name.startswith(test)]
    return found[0] if found and len({status.passes for status in found}) == 1 else None
