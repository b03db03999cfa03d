"""A log that is written against its reader costs an attempt, and holds up nothing else."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from waiting import come_about

from qcode_evals.grading.judging import Verdict, judge
from qcode_evals.parsers.logparse import parse_each
from qcode_evals.parsers.reading import Unreadable, read
from qcode_evals.tasks.dataset import load
from qcode_sandbox.errors import SandboxError

ROW = load(Path(__file__).with_name("data") / "instances.jsonl")[0]
LONG = "PASSED " + "a" * 2_000_000
"""Looking for a parameter in this name, the pattern of parse_log_requests begins anew at each letter: for hours."""


def children() -> set[int]:
    """Also those of other tests, which may live until Python collects what they belong to."""
    threads = Path("/proc/self/task").glob("*/children")
    return {int(number) for thread in threads for number in thread.read_text().split()}


async def test_a_log_is_read_as_its_parser_reads_it() -> None:
    log = "--- PASS: A (0.1s)\n--- FAIL: A (0.1s)\n--- PASS: \U0001f4a9 \udcff (0.1s)\n"
    reading = await read("parse_log_gotest", log, ["--- SKIP: B (0.1s)"])
    assert reading.found == parse_each("parse_log_gotest", log)
    assert (reading.last["A"], reading.reported, reading.ran) == ("FAILED", {"B": {"SKIPPED"}}, True)


async def test_a_log_that_takes_too_long_keeps_nobody_waiting() -> None:
    others = children()
    work = asyncio.ensure_future(read("parse_log_requests", LONG, seconds=1))
    turns = 0
    while not work.done():
        await asyncio.wait([work], timeout=0.01)
        turns += 1
    with pytest.raises(Unreadable, match="its log takes longer than 1 s to read"):
        await work
    assert turns > 10, "others went on meanwhile"
    assert not children() - others


DEEP = "./node_modules/.bin/mocha tests/run.js --reporter json" + '{"failures": ' + "[" * 100_000 + "}"
SUITES = "".join(f"\n{' ' * deep}{'x' * 2000}" for deep in range(1, 500))
NAMES = " ./node_modules/.bin/jest " + SUITES + "".join(f"\n{' ' * 500}✓ {number}" for number in range(20_000))
"""A parser gives each of 20,000 tests the names of all suites around it, a million letters."""


@pytest.mark.parametrize(
    ("parser", "log", "says"),
    [("parse_log_prismjs", DEEP, "RecursionError"), ("parse_log_calypso", NAMES, "too much memory")],
)
async def test_a_log_that_breaks_its_parser_is_the_patchs_fault(parser: str, log: str, says: str) -> None:
    grade = await judge(ROW.model_copy(update={"log_parser": parser}), log, 0, None)
    assert grade.verdict is Verdict.UNRESOLVED
    assert says in grade.reason


async def test_a_reader_that_something_else_kills_says_nothing_of_the_patch() -> None:
    others = children()
    work = asyncio.ensure_future(read("parse_log_requests", LONG, seconds=20))
    await come_about(lambda: children() - others)
    for child in children() - others:
        os.kill(child, signal.SIGKILL)
    with pytest.raises(SandboxError, match="was killed"):
        await work


async def test_who_stops_waiting_leaves_no_reader_behind() -> None:
    others = children()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await read("parse_log_requests", LONG)
    assert not children() - others
