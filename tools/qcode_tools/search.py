"""Finding files by name and lines by pattern; ignored files and .git are left out."""

import posixpath
import re
from dataclasses import dataclass

from qcode_sandbox.protocol import ExecResult, Sandbox
from qcode_tools import files
from qcode_tools.errors import ToolError
from qcode_tools.listing import NOT_FOUND, glob_matches, list_files, run
from qcode_tools.spec import ToolOutput

_FILES_SHOWN = 200
_MATCHES_SHOWN = 100
_PER_FILE = 50
_LINE = 240

_RG = (
    "rg", "--no-config", "--no-heading", "--line-number", "--with-filename", "--null", "--color=never", "--no-messages",
    "--hidden", "--no-require-git", f"--max-count={_PER_FILE}", "--max-columns=2000", "--max-columns-preview",
)  # fmt: skip
_GREP = ("xargs", "-0", "-r", "grep", "-nHI", "-m", str(_PER_FILE))
_BROKEN_PIPE = 128 + 13
_AS_TEXT = "\n[The pattern is not a valid regular expression, so it was searched as plain text.]"


@dataclass(frozen=True, slots=True)
class _Hits:
    """Matches as (file, line number, line), sorted; `cut` if there were more than could be read."""

    matches: list[tuple[str, int, str]]
    cut: bool
    note: str = ""
    engine: str = "rg"


async def glob(sandbox: Sandbox, pattern: str, path: str) -> ToolOutput:
    """Names of files. Raises: ToolError, SandboxError."""
    if not pattern or pattern.startswith("!"):
        raise ToolError(f"{pattern!r} is not a pattern: write one such as **/*.py or src/*.c")
    folder = await files.existing(sandbox, path)
    if pattern.startswith(folder + "/"):
        pattern = pattern.removeprefix(folder)
    pattern = pattern.removeprefix("./")
    if "/" in pattern and not pattern.startswith(("/", "**")):
        pattern = f"/{pattern}"
    names = await list_files(sandbox, folder, pattern)
    if not names:
        hint = "" if "*" in pattern else f" For a part of a name write *{posixpath.basename(pattern)}*."
        return ToolOutput(f"No file matches {pattern.removeprefix('/')}.{hint}")
    below = "" if folder == sandbox.workdir else files.shown(sandbox, folder) + "/"
    lines = [below + name for name in names[:_FILES_SHOWN]]
    if len(names) > _FILES_SHOWN:
        lines.append(f"[... {len(names) - _FILES_SHOWN:,} more: make the pattern narrower]")
    return ToolOutput("\n".join(lines), extra={"files": len(names)})


async def grep(
    sandbox: Sandbox, pattern: str, path: str, include: str | None, *, most: int | None = None
) -> ToolOutput:
    """Lines that match a regular expression, at most `most`; one that is not valid is searched as plain text.

    Raises: ToolError, SandboxError.
    """
    if not pattern:
        raise ToolError("pattern is empty: give a regular expression or a word to look for")
    target = await files.existing(sandbox, path)
    hits = await _with_rg(sandbox, pattern, target, include)
    if hits is None:
        hits = await _without_rg(sandbox, pattern, target, include)
    extra = {"matches": len(hits.matches), "engine": hits.engine}
    if not hits.matches:
        where = "" if target == sandbox.workdir else f" in {files.shown(sandbox, target)}"
        return ToolOutput(
            f"No matches for {pattern}{where}{f' ({include})' if include else ''}.{hits.note}", extra=extra
        )
    shown = min(_MATCHES_SHOWN, max(1, most or _MATCHES_SHOWN))
    lines = [f"{name}:{number}:{_cut(line)}" for name, number, line in hits.matches[:shown]]
    if len(hits.matches) > shown or hits.cut:
        total = f"{len(hits.matches):,}{' or more' if hits.cut else ''}"
        lines.append(f"[the first {len(lines)} of {total} matches: make the pattern or the path narrower]")
    return ToolOutput("\n".join(lines) + hits.note, extra=extra)


async def _with_rg(sandbox: Sandbox, pattern: str, target: str, include: str | None) -> _Hits | None:
    """Raises: ToolError, SandboxError. None where there is no ripgrep."""
    name = "./" if target == sandbox.workdir else files.shown(sandbox, target)
    options = [*_RG, *([f"--glob={include}"] if include else []), "--glob=!.git"]
    if "\n" in pattern or "\\n" in pattern:
        options.append("--multiline")
    ran = await run(sandbox, [*options, "-e", pattern, "--", name], cwd=sandbox.workdir)
    note = ""
    if ran.exit_code == 2 and "\0" not in ran.output:
        problem = ran.output.strip()
        if not problem:
            raise await files.missing(sandbox, name)
        ran = await run(sandbox, [*options, "--fixed-strings", "-e", pattern, "--", name], cwd=sandbox.workdir)
        if ran.exit_code != 0 and "\0" not in ran.output:
            reason = problem.splitlines()[-1].removeprefix("error: ")
            raise ToolError(
                f"{pattern} is not a valid regular expression ({reason}), and there is no match for it as plain text "
                "either. Put a backslash before ( ) [ ] { } . * + ? that are meant literally."
            )
        note = _AS_TEXT
    if ran.exit_code == NOT_FOUND:
        return None
    return _Hits(_sorted(ran, re.compile(r"(?s)([^\0]*)\0(\d+):(.*)")), _was_cut(ran), note)


async def _without_rg(sandbox: Sandbox, pattern: str, target: str, include: str | None) -> _Hits:
    """The same by git or find and grep. Raises: ToolError, SandboxError."""
    try:
        below = "" if target == sandbox.workdir else files.shown(sandbox, target) + "/"
        names = [below + name for name in await list_files(sandbox, target)]
    except ToolError:
        names = [(await files.read(sandbox, target)).shown]
    if include is not None:
        names = [name for name in names if glob_matches(include, name)]
    listed = b"".join(f"./{name}\0".encode("utf-8", "surrogateescape") for name in names if not name.startswith("/"))
    listed += b"".join(f"{name}\0".encode("utf-8", "surrogateescape") for name in names if name.startswith("/"))
    # PCRE is nearest to ripgrep's syntax; not every grep has it.
    for mode in ("-P", "-E", "-F"):
        ran = await run(sandbox, [*_GREP, mode, "-e", pattern, "--"], cwd=sandbox.workdir, stdin=listed)
        matches = _sorted(ran, re.compile(r"(?s)(.*?):(\d+):(.*)"))
        if matches or "grep: " not in ran.output:
            note = _AS_TEXT if mode == "-F" else ""
            return _Hits(matches, _was_cut(ran), note, engine="grep")
    raise ToolError(f"cannot search for {pattern}: {ran.output.strip()[:300]}")


def _sorted(ran: ExecResult, line_format: re.Pattern[str]) -> list[tuple[str, int, str]]:
    found = [line_format.fullmatch(line) for line in ran.output.split("\n")]
    return sorted((match[1].removeprefix("./"), int(match[2]), match[3]) for match in found if match is not None)


def _was_cut(ran: ExecResult) -> bool:
    return ran.exit_code == _BROKEN_PIPE or ran.truncated or ran.timed_out


def _cut(line: str) -> str:
    line = line.rstrip("\r")
    return line if len(line) <= _LINE else f"{line[:_LINE]} [...]"
