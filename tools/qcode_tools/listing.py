"""The files of a folder in the sandbox: by ripgrep where it is installed, else by git or find."""

import posixpath
import re
from collections.abc import Sequence
from functools import lru_cache

from qcode_sandbox.protocol import ExecResult, Sandbox
from qcode_tools.errors import ToolError

NOT_FOUND = 127
"""What a shell answers when there is no such program."""

_SECONDS = 60.0
_OUTPUT_BYTES = 800_000
"""Less than a sandbox keeps of an output, so that no name is cut in its middle."""

_NO_FOLDER = 125
_RUN = f'cd -- "$1" 2>/dev/null || exit {_NO_FOLDER}; shift; set -o pipefail; "$@" | head -c {_OUTPUT_BYTES}'
_RG_FILES = ("rg", "--no-config", "--files", "--null", "--no-messages", "--hidden", "--no-require-git", "--color=never")
_NO_GIT = ("--glob=!.git",)
LIST_WITHOUT_RG = """
{ git -c core.fsmonitor=false -c safe.directory='*' ls-files -z -co --exclude-standard -- . 2>/dev/null ||
  find . -name .git -prune -o -type f -print0 2>/dev/null; }"""
_TREE = """
find . -mindepth 1 -maxdepth 2 -name .git -prune -o -type d -exec printf '%s/\\0' {} + -o -exec printf '%s\\0' {} +"""


async def run(sandbox: Sandbox, argv: Sequence[str], *, cwd: str, stdin: bytes | None = None) -> ExecResult:
    """Run a program, its output bounded early. Raises: ToolError where `cwd` is no folder, SandboxError."""
    ran = await sandbox.exec(["bash", "-c", _RUN, "bash", cwd, *argv], timeout_s=_SECONDS, stdin=stdin)
    if ran.exit_code == _NO_FOLDER:
        raise ToolError(f"{cwd} is not a directory")
    return ran


async def list_files(sandbox: Sandbox, folder: str, pattern: str | None = None) -> list[str]:
    """Paths of the files below `folder`, relative to it, sorted; ignored files and .git are left out.

    `pattern` is a glob as in .gitignore: without a slash it matches names in any folder.

    Raises: ToolError, SandboxError.
    """
    globs = () if pattern is None else (f"--glob={pattern}",)
    ran = await run(sandbox, [*_RG_FILES, *globs, *_NO_GIT], cwd=folder)
    if ran.exit_code == NOT_FOUND:
        ran = await run(sandbox, ["bash", "-c", LIST_WITHOUT_RG], cwd=folder)
        names = _names(ran.output)
        return names if pattern is None else [name for name in names if glob_matches(pattern, name)]
    if ran.exit_code == 2 and not ran.output.count("\0"):
        raise ToolError(f"{pattern!r} is not a valid glob pattern: {ran.output.strip()}")
    return _names(ran.output)


async def list_tree(sandbox: Sandbox, folder: str) -> list[str]:
    """What is in `folder`, two levels deep, folders with a final slash. Raises: ToolError, SandboxError."""
    return _names((await run(sandbox, ["bash", "-c", _TREE], cwd=folder)).output)


def glob_matches(pattern: str, name: str) -> bool:
    """Whether a glob as in .gitignore matches a relative path."""
    return _glob(pattern).fullmatch(name if "/" in pattern.rstrip("/") else posixpath.basename(name)) is not None


@lru_cache(maxsize=16)
def _glob(pattern: str) -> re.Pattern[str]:
    out, rest = "", pattern.removeprefix("/")
    while rest:
        found = re.match(r"\*\*/|\*\*|\*|\?|\[!?[^]]+\]|\{[^{}]*\}|\\?.", rest, re.DOTALL)
        assert found is not None
        token, rest = found[0], rest[found.end() :]
        match token[0]:
            case "*":
                out += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}[token]
            case "?":
                out += "[^/]"
            case "[" if len(token) > 1:
                out += ("[^" if token[1] == "!" else "[") + re.sub(r"([\\\[])", r"\\\1", token[1:].lstrip("!"))
            case "{" if len(token) > 1:
                out += "(?:" + "|".join(_glob(part).pattern for part in token[1:-1].split(",")) + ")"
            case _:
                out += re.escape(token[-1])
    try:
        return re.compile(out, re.DOTALL)
    except re.error as error:
        raise ToolError(f"{pattern!r} is not a valid glob pattern: {error}") from error


def _names(output: str) -> list[str]:
    return sorted(name.removeprefix("./") for name in output.split("\0")[:-1] if name)
