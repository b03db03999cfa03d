"""Reads test logs where they can do no harm: in a process of their own.

What tests print is anybody's, up to 50 MB of it, and for some texts the patterns that SWE-bench's parsers consist of
take the square of a line's length, and more: here, one printed line could hold up all other attempts for hours.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qcode_evals.parsers.status import Status
from qcode_sandbox.errors import SandboxError

SECONDS = 60
"""Of a processor, so that a busy machine changes no grade. An honest log of 50 MB takes a few."""

_MEMORY = 2 << 30
_LARGEST = 100_000_000
_BEGIN = "import sys; sys.path.append({root!r}); from qcode_evals.parsers.child import main; main{limits!r}"


class Unreadable(Exception):
    """A log that no parser gets through; the message says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a log says. `found` is all that it says of each test, in its order; `ran` whether it shows that tests ran,
    also where it names only those that fail; `reported` what the lines of `outcomes` say of each name."""

    found: dict[str, list[Status]]
    ran: bool
    reported: dict[str, set[Status]]

    @property
    def last(self) -> dict[str, Status]:
        """By test what the log says last."""
        return {name: found[-1] for name, found in self.found.items()}


async def read(parser: str, log: str, outcomes: Sequence[str] = (), *, seconds: int = SECONDS) -> Reading:
    """By a parser of logparse.PARSERS; `outcomes` are lines as its runner prints them, read apart from the log.

    Raises: Unreadable; SandboxError if something else ends the process, which says nothing of the log.
    """
    request = await asyncio.to_thread(json.dumps, {"parser": parser, "log": log, "outcomes": list(outcomes)})
    root = str(Path(__file__).parents[2])
    begin = _BEGIN.format(root=root, limits=(seconds, _MEMORY, _LARGEST))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", begin, cwd="/", start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        answer, _ = await child.communicate(request.encode())
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == -signal.SIGXCPU:
        raise Unreadable(f"its log takes longer than {seconds} s to read")
    if child.returncode == -signal.SIGKILL:
        raise SandboxError("the process that reads test logs was killed")
    try:
        said = await asyncio.to_thread(json.loads, answer)
    except ValueError:
        raise Unreadable(f"what reads its log ended with {child.returncode}") from None
    if "fault" in said:
        raise Unreadable(f"its log cannot be read: {said['fault']}")
    return Reading(
        {name: list(map(Status, found)) for name, found in said["found"].items()},
        said["ran"],
        {name: set(map(Status, found)) for name, found in said["reported"].items()},
    )
