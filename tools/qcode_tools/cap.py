"""The one place where a result is cut to what the model can take: head and tail stay, the whole goes to a file."""

import hashlib

from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import SHELL_OUTPUT_LIMIT, Sandbox
from qcode_tools.offload import compute

DEFAULT_CAP = 12_000
"""Characters of a result for the model: 3,000 to 4,000 tokens."""

_FILE_LIMIT = SHELL_OUTPUT_LIMIT
"""Characters kept of an output in its file."""

_KEPT_LIMIT = 8 * _FILE_LIMIT
"""Bytes of all such files; beyond it the oldest go."""

_HEAD_SHARE = 0.4
"""Of a command's output the end tells more than the beginning."""

# The fixed name is easier to copy for a model than a random one; a folder that somebody else made is never used.
_MAKE_FOLDER = (
    't=${TMPDIR:-/tmp}; d=$t/qcode; mkdir -m 700 "$d" 2>/dev/null || d=$(mktemp -d "$t/qcode.XXXXXX") && printf %s "$d"'
)


class Spill:
    """Keeps whole outputs in the sandbox, numbered from 1, in a folder of this session.

    The same text gets the same file, so that a repeated call still has the same result.
    """

    def __init__(self) -> None:
        self._folder: str | None = None
        self._sandbox = ""
        self._paths: dict[bytes, tuple[str, int]] = {}
        self._written = 0

    async def keep(self, sandbox: Sandbox, text: str) -> str | None:
        """Write `text` to a new file, bounded; its path, or None where it cannot be kept. Raises: SandboxError."""
        if self._folder is None or self._sandbox != sandbox.name:
            made = await sandbox.exec(_MAKE_FOLDER, timeout_s=10)
            folder = made.output.strip()
            if made.exit_code != 0 or not folder.startswith("/") or "\n" in folder:
                return None
            self._folder, self._sandbox = folder, sandbox.name
            self._paths.clear()
            self._written = 0
        data, key = await compute(len(text), _kept, text)
        if key not in self._paths:
            self._written += 1
            path = f"{self._folder}/output-{self._written:04}.txt"
            try:
                await sandbox.write(path, data)
            except SandboxFileError:
                return None
            self._paths[key] = (path, len(data))
            await self._make_room(sandbox)
        return self._paths[key][0]

    async def _make_room(self, sandbox: Sandbox) -> None:
        sizes = sum(size for _, size in self._paths.values())
        gone: list[str] = []
        while sizes > _KEPT_LIMIT and len(self._paths) > 1:
            path, size = self._paths.pop(next(iter(self._paths)))
            sizes -= size
            gone.append(path)
        if gone:
            await sandbox.exec(["rm", "-f", "--", *gone], timeout_s=10)


def _kept(text: str) -> tuple[bytes, bytes]:
    """What goes into the file, and what tells it from others."""
    data = shorten(text, _FILE_LIMIT, "left out here").encode("utf-8", "replace")
    return data, hashlib.sha256(data).digest()


def shorten(text: str, limit: int, note: str) -> str:
    """`text` without so much of its middle that about `limit` characters are left; cut at line ends where possible."""
    if len(text) <= limit:
        return text
    head = int(limit * _HEAD_SHARE)
    tail = len(text) - (limit - head)
    line_end = text.rfind("\n", head // 2, head)
    head = line_end + 1 if line_end >= 0 else head
    line_end = text.find("\n", tail, tail + (len(text) - tail) // 2)
    tail = line_end + 1 if line_end >= 0 else tail
    first, last = text[:head], text[tail:]
    gap = "" if first.endswith("\n") else "\n"
    return f"{first}{gap}[... {tail - head:,} of {len(text):,} characters {note} ...]\n{last}"


async def cap(text: str, *, limit: int, spill: Spill, sandbox: Sandbox) -> tuple[str, str | None]:
    """What the model gets of `text`; the path of the file with all of it, if it had to be cut. Raises: SandboxError."""
    if len(text) <= limit:
        return text, None
    path = await spill.keep(sandbox, text)
    note = f"left out; all of it is in {path}, view or grep it" if path else "left out and not kept"
    return shorten(text, limit, note), path
