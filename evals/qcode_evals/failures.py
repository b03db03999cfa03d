"""What went wrong, in a line: a failed build says it in the last of many."""

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BEGINS, _ENDS, _CLEARS = "---> Running in ", "The command '", "Removing intermediate container "
"""What the engine's builder says around the output of a command; the command itself stands in the end, in full."""


def cause(text: str) -> str:
    """The line of a failure that says why; of one line, that line. Of a build's output it is the last that speaks of
    an error, else the last that the failed command printed, else how that ended."""
    lines = [line.strip() for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    if len(lines) < 2:
        return "".join(lines)
    first = max((place for place, line in enumerate(lines) if line.startswith(_BEGINS)), default=0) + 1
    last = max((place for place, line in enumerate(lines) if line.startswith(_ENDS)), default=len(lines))
    printed = [line for line in lines[first:last] if not line.startswith(_CLEARS)]
    errors = [line for line in printed if "error" in line.lower()]
    return (errors or printed or lines)[-1]
