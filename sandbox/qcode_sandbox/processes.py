"""Finding and killing a sandbox's processes from the host, by the tag that they carry (see server.sh)."""

import contextlib
import os
import re
import signal
from pathlib import Path

_LOCKS = re.compile(rb"^Max file locks\s+(\d+) ", re.MULTILINE)
_PASSES = 10


def kill_tagged(first: int, last: int) -> None:
    """Kill every process whose tag lies in a range; blocking."""
    # Stopped processes cannot fork: stop until a pass finds no new one, then kill.
    found: set[int] = set()
    for _ in range(_PASSES):
        if (now := _tagged(first, last)) <= found:
            break
        _signal(now - found, signal.SIGSTOP)
        found |= now
    _signal(found, signal.SIGKILL)


def _tagged(first: int, last: int) -> set[int]:
    """The processes whose soft limit of file locks lies in a range."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (match := _LOCKS.search((process / "limits").read_bytes())) and first <= int(match[1]) <= last:
                found.add(int(process.name))
    return found


def _signal(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)
