"""Says at once when an edit leaves a file that no longer parses.

The text is parsed by the sandbox's own Python, so it is the version that the repository is made for, and nothing that a
model writes is parsed on the host.
"""

import json
from pathlib import PurePosixPath

from qcode_sandbox.protocol import Sandbox

_PARSERS = {".py": "py", ".pyi": "py", ".json": "json", ".toml": "toml"}
_WITH_COMMENTS = ("tsconfig", "jsconfig", ".eslintrc", "devcontainer", "settings", "launch", "tasks")
_BYTES = 1_000_000
_SECONDS = 10.0

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
if problem:
    import json
    print(json.dumps(problem))
"""


async def new_syntax_error(sandbox: Sandbox, path: str, *, before: bytes | None, after: bytes) -> str | None:
    """One line about a syntax error that the edit brought; None where there is none, or nothing to tell by.

    Raises: SandboxError.
    """
    name = PurePosixPath(path)
    kind = _PARSERS.get(name.suffix)
    if kind is None or len(after) > _BYTES or (kind == "json" and name.stem.startswith(_WITH_COMMENTS)):
        return None
    error = await _parse(sandbox, kind, after)
    if error is None or (before is not None and before.strip() and await _parse(sandbox, kind, before) is not None):
        return None
    line, message, source = error
    where = f"line {line}: " if line and "line" not in message else ""
    return f"The file no longer parses: {where}{message}" + (f"\n  {line}: {source.strip()}" if source.strip() else "")


async def _parse(sandbox: Sandbox, kind: str, data: bytes) -> tuple[int, str, str] | None:
    ran = await sandbox.exec(
        ["python3", "-I", "-S", "-W", "ignore", "-c", _CHECK, kind], timeout_s=_SECONDS, stdin=data
    )
    if ran.exit_code != 0 or not ran.output.startswith("["):
        return None
    try:
        line, message, source = json.loads(ran.output)
    except ValueError:
        return None
    return (int(line), str(message), str(source)) if isinstance(line, int) else None
