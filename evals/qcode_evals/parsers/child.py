"""The process that reads a test log: one request as JSON on standard input, one answer on standard output.

It only computes, with memory and processor time that are limited; reading.py starts it and says what comes and goes.
Nothing outside the standard library is imported, so that it starts in hundredths of a second.
"""

import json
import re
import resource
import sys
from collections import defaultdict

from qcode_evals.parsers.logparse import parse, parse_each

_RAN = re.compile(
    r"Executed [1-9]\d* of \d+|TOTAL: [1-9]\d* (?:SUCCESS|FAILED)|[1-9]\d* passing|Tests:\s+[1-9]\d*|"
    r"Test Suites:\s+(?:\d+ \w+, )*[1-9]\d* total|^# tests [1-9]\d*|[1-9]\d* specs?, \d+ failures?|': ok$",
    re.MULTILINE,
)
"""What runners that name only failed tests print when they ran some (swebench 5.0.2)."""


def read(parser: str, log: str, outcomes: list[str]) -> dict[str, object]:
    """What a log says: `found` by test in its order, `ran` whether it shows that tests ran where it names no test, and
    `reported` what the same parser reads in lines that a runner would have printed."""
    found = parse_each(parser, log)
    reported = defaultdict[str, set[str]](set)
    for line in outcomes:
        for name, status in parse(parser, line).items():
            reported[name].add(status)
    return {
        "found": found,
        "ran": bool(found) or _RAN.search(log) is not None,
        "reported": {name: sorted(statuses) for name, statuses in reported.items()},
    }


def main(seconds: int, memory: int, largest: int) -> None:
    """Answer one request: within `seconds` of a processor and `memory` bytes, with at most `largest` characters."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))  # ended by the signal of the first
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        request = json.load(sys.stdin.buffer)
        answer = json.dumps(read(request["parser"], request["log"], request["outcomes"]))
        if len(answer) > largest:
            answer = json.dumps({"fault": "it names too much"})
    except MemoryError:
        answer = json.dumps({"fault": "it takes too much memory"})
    except Exception as error:  # whatever a parser makes of a text that it does not expect
        answer = json.dumps({"fault": f"{type(error).__name__}: {error}"[:200]})
    sys.stdout.write(answer)
