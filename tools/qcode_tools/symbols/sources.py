"""Source files of the sandbox with the hashes of their contents, and many contents in few calls.

What the sandbox says about hashes only decides what is asked for: a content is filed under the hash that is made of it
here, so nothing inside can put words into another repository's mouth.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence

from qcode_sandbox.protocol import Sandbox
from qcode_tools.listing import list_files
from qcode_tools.parsing.languages import language_of

FILES = 5_000
"""Files of a repository that are looked at; of more, those highest up."""

FILE_BYTES = 500_000
_BATCH_BYTES = 600_000
"""As base64 it is less than a sandbox keeps of an output."""

_AT_ONCE = 3
_RACES = 5
_SECONDS = 60.0
_SIZES = "xargs -0 -r stat -L -c '%s %n' -- 2>/dev/null"
_CONTENTS = "set -o pipefail; xargs -0 -r cat -- 2>/dev/null | base64 -w 0"


async def source_files(sandbox: Sandbox) -> tuple[dict[str, int], int]:
    """Files in a language that is parsed, with their sizes in bytes; and how many were left out.

    Raises: ToolError, SandboxError.
    """
    names = [name for name in await list_files(sandbox, sandbox.workdir) if language_of(name) and "\n" not in name]
    chosen = sorted(names, key=lambda name: (name.count("/"), name))[:FILES]
    ran = await sandbox.exec(["bash", "-c", _SIZES], timeout_s=_SECONDS, cwd=sandbox.workdir, stdin=_joined(chosen))
    sizes: dict[str, int] = {}
    for line in ran.output.split("\n"):
        size, _, name = line.partition(" ")
        if size.isdigit() and 0 < int(size) <= FILE_BYTES:
            sizes[name.removeprefix("./")] = int(size)
    found = {name: sizes[name] for name in chosen if name in sizes}
    return found, len(names) - len(chosen)


async def hashes(sandbox: Sandbox, names: Sequence[str]) -> dict[str, str]:
    """The hash of each file as git's objects have it; a file that is gone has none. Raises: SandboxError."""
    found: dict[str, str] = {}
    rest = list(names)
    for _ in range(_RACES):
        if not rest:
            break
        # It ends at the first file that it cannot read: what comes after that one is asked for again.
        ran = await sandbox.exec(
            ["git", "hash-object", "--no-filters", "--stdin-paths"],
            timeout_s=_SECONDS,
            cwd=sandbox.workdir,
            stdin="".join(f"{name}\n" for name in rest).encode("utf-8", "surrogateescape"),
        )
        lines = [line for line in ran.output.split("\n") if len(line) == 40]
        found.update(zip(rest, lines, strict=False))
        rest = rest[len(lines) + 1 :]
    return found


async def contents(sandbox: Sandbox, sizes: dict[str, int]) -> AsyncIterator[dict[str, bytes]]:
    """The files, some at a time; one that changes meanwhile may be left out. Raises: SandboxError."""
    batches = list(_batches(sizes))
    for first in range(0, len(batches), _AT_ONCE):
        several = batches[first : first + _AT_ONCE]
        for read in await asyncio.gather(*(_read(sandbox, names, sizes) for names in several)):
            yield read


def blob_hash(data: bytes) -> str:
    """What git calls these bytes."""
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def _batches(sizes: dict[str, int]) -> Iterable[list[str]]:
    batch: list[str] = []
    total = 0
    for name, size in sizes.items():
        if batch and total + size > _BATCH_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(name)
        total += size
    if batch:
        yield batch


async def _read(sandbox: Sandbox, names: list[str], sizes: dict[str, int]) -> dict[str, bytes]:
    ran = await sandbox.exec(["bash", "-c", _CONTENTS], timeout_s=_SECONDS, cwd=sandbox.workdir, stdin=_joined(names))
    try:
        data = base64.b64decode(ran.output, validate=True)
    except (binascii.Error, ValueError):
        return {}
    if len(data) != sum(sizes[name] for name in names):
        return {}
    read: dict[str, bytes] = {}
    at = 0
    for name in names:
        read[name] = data[at : at + sizes[name]]
        at += sizes[name]
    return read


def _joined(names: Iterable[str]) -> bytes:
    return b"".join(f"./{name}\0".encode("utf-8", "surrogateescape") for name in names)
