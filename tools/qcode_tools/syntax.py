"""Says at once when an edit leaves a file that no longer parses.

Python, JSON and TOML are parsed by the sandbox's own Python, so it is the version that the repository is made for, and
it is the language itself that answers. Other languages, and Python where the sandbox has none, are parsed by
tree-sitter: a grammar may not know the newest syntax, so what it says is a likelihood, and it is only believed about a
file that it could read before.
"""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from qcode_sandbox.protocol import Sandbox
from qcode_tools.document import NotText, common_prefix, decode
from qcode_tools.parsing.languages import language_of
from qcode_tools.parsing.parser import shared_parser

_PARSERS = {".py": "py", ".pyi": "py", ".json": "json", ".toml": "toml"}
_WITH_COMMENTS = ("tsconfig", "jsconfig", ".eslintrc", "devcontainer", "settings", "launch", "tasks")
_BYTES = 1_000_000
_SECONDS = 10.0
_LINE = 160

# Compiling executes nothing, and finds what parsing alone does not, such as a return outside a function. Modules are
# imported only where they are needed: most of the time of a check is the interpreter's start.
_CHECK = """
import sys
kind, data = sys.argv[1], sys.stdin.buffer.read()
try:
    if kind == "py":
        compile(data, "file", "exec", dont_inherit=True)
    elif kind == "json":
        import json
        json.loads(data)
    else:
        import tomllib
        tomllib.loads(data.decode())
except (ImportError, RecursionError, MemoryError):
    problem = None
except SyntaxError as e:
    problem = [e.lineno or 0, str(e.msg), (e.text or "").rstrip()[:160]]
except ValueError as e:
    problem = [getattr(e, "lineno", 0), str(e)[:300], ""]
else:
    problem = None
import json
print(json.dumps(problem))
"""


@dataclass(frozen=True, slots=True)
class SyntaxProblem:
    """What an edit broke, in words for the model; `sure` where the language itself says so."""

    words: str
    sure: bool


async def new_syntax_error(sandbox: Sandbox, path: str, *, before: bytes | None, after: bytes) -> SyntaxProblem | None:
    """The syntax error that an edit brought; None where there is none, or nothing to tell by. Raises: SandboxError."""
    name = PurePosixPath(path)
    kind = _PARSERS.get(name.suffix)
    if len(after) > _BYTES or (kind == "json" and name.stem.startswith(_WITH_COMMENTS)):
        return None
    old = before if before is not None and before.strip() else None
    if kind is not None:
        error = await _parse(sandbox, kind, after)
        if not isinstance(error, _Unknown):
            if error is None or (old is not None and await _parse(sandbox, kind, old) is not None):
                return None
            line, message, source = error
            where = f"line {line}: " if line and "line" not in message else ""
            return SyntaxProblem(_words("no longer parses", f"{where}{message}", line, source), sure=True)
    language = language_of(path)
    return None if language is None else await _likely(language, old, after)


class _Unknown:
    """No parser answered."""


async def _parse(sandbox: Sandbox, kind: str, data: bytes) -> tuple[int, str, str] | _Unknown | None:
    ran = await sandbox.exec(
        ["python3", "-I", "-S", "-W", "ignore", "-c", _CHECK, kind], timeout_s=_SECONDS, stdin=data
    )
    try:
        problem = json.loads(ran.output) if ran.exit_code == 0 else 0
    except (ValueError, RecursionError):
        return _Unknown()
    match problem:
        case None:
            return None
        case [int(line), message, source]:
            return line, str(message), str(source)
        case _:
            return _Unknown()


async def _likely(language: str, before: bytes | None, after: bytes) -> SyntaxProblem | None:
    text = _text(after)
    if text is None:
        return None
    now = await shared_parser().errors(language, text.encode())
    if not now:
        return None
    first, last = 1, text.count("\n") + 1
    if before is not None:
        old = _text(before)
        known = None if old is None else await shared_parser().errors(language, old.encode())
        if old is None or known is None or known:
            return None
        first, last = _changed(old, text)
    # A parser gives up anywhere between the fault and the end of what holds it: the change is the likelier place.
    issue = next((issue for issue in now if issue.first <= last and issue.last >= first), now[0])
    lines = text.removesuffix("\n").split("\n")
    line = min(max(issue.first, min(first, issue.last)), len(lines))
    words = _words("seems to no longer parse", f"line {line}: {issue.what}", line, lines[line - 1])
    return SyntaxProblem(words, sure=False)


def _changed(old: str, new: str) -> tuple[int, int]:
    """The lines of `new` that differ, from 1, inclusive."""
    head = common_prefix(old, new)
    tail = common_prefix(old[head:][::-1], new[head:][::-1])
    first = new.count("\n", 0, head) + 1
    return first, first + new.count("\n", head, len(new) - tail)


def _words(verb: str, message: str, line: int, source: str) -> str:
    source = source.strip()[:_LINE]
    return f"The file {verb}: {message}" + (f"\n  {line}: {source}" if source else "")


def _text(data: bytes) -> str | None:
    try:
        return decode(data).text
    except NotText:
        return None
