"""Scripts of sed that run nothing and write nothing but what sed puts out.

Source: the manual of GNU sed 4.9, "sed scripts". What is not known here to be harmless counts as harmful, as the
commands `e`, `w` and `W` and the flags `e` and `w` of `s` are.
"""

import re

_END = r"[ \t]*(?=[;\n}#]|\Z)"
_DELIMITER = "[/|#,:@!%_]"
# Whether a bracket may hold the delimiter is not agreed on, so here it must not.
_REGEX = r"(?:(?!{it})[^\\\n\[]|\\.|\[(?:(?!{it})[^\n\\\]])+\])*"
_FIRST = rf"(?:\d+(?:~\d+)?|\$|/{_REGEX.replace('{it}', '/')}/[IM]*)"
_SECOND = rf"(?:[+~]?\d+|\$|/{_REGEX.replace('{it}', '/')}/[IM]*)"
_ADDRESS = re.compile(rf"(?:{_FIRST}\s*(?:,\s*{_SECOND}\s*)?(?:!\s*)?)?", re.DOTALL)
_COMMANDS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"[{}]",
        r"#[^\n]*",
        rf"[=dDgGhHnNpPxzF]{_END}",
        rf"[lLqQ](?:[ \t]*\d+)?{_END}",
        r"[aic](?:[^\\\n]|\\.)*",
        r"[btT:][ \t]*[^;\s}]*",
        r"[rR][^\n]*",
        rf"[sy]({_DELIMITER}){_REGEX.replace('{it}', chr(92) + '1')}\1(?:(?!\1)[^\\\n]|\\.)*\1[gpiImM0-9]*{_END}",
    )
)
_BETWEEN = re.compile(r"[\s;]*")


def only_puts_out(script: str) -> bool:
    """Whether a script surely does nothing else."""
    at = _skipped(script, 0)
    while at < len(script):
        address = _ADDRESS.match(script, at)
        at = at if address is None else address.end()
        found = next((found for command in _COMMANDS if (found := command.match(script, at))), None)
        if found is None:
            return False
        at = _skipped(script, found.end())
    return bool(script.strip())


def _skipped(script: str, at: int) -> int:
    between = _BETWEEN.match(script, at)
    return at if between is None else between.end()
