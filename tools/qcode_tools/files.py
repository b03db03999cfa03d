"""Files of a sandbox by the paths that a model gives, with errors that say what to do instead."""

import difflib
import errno
import posixpath
import shlex
from dataclasses import dataclass

from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import READ_LIMIT, Sandbox
from qcode_tools.document import Document, NotText, decode
from qcode_tools.errors import ToolError
from qcode_tools.listing import list_files

_REASONS = {
    errno.EISDIR: "it is a directory",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "it is on a read-only file system",
    errno.ENOSPC: "the disk is full: delete something that you made, then try again",
    errno.EDQUOT: "the disk is full: delete something that you made, then try again",
    errno.EFBIG: f"it is larger than {READ_LIMIT // 1_000_000} MB: use bash with head, tail, grep or sed",
    errno.ELOOP: "it is a symbolic link that leads to itself",
    errno.ENAMETOOLONG: "the name is too long",
}

_ELSEWHERE = ("tmp", "etc", "usr", "var", "root", "proc", "sys", "dev", "opt", "bin", "lib", "run", "home")
_FIRST = 'for p; do [ -e "$p" ] && printf %s "$p" && exit; done'
_SUGGESTIONS = 3
_NAMES_COMPARED = 20_000


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read. `path` is absolute, `shown` is what to call it to the model."""

    path: str
    shown: str
    data: bytes

    def document(self) -> Document:
        """Its text. Raises: ToolError for a binary file."""
        try:
            return decode(self.data)
        except NotText as error:
            raise ToolError(
                f"{self.shown} is a binary file ({len(self.data):,} bytes; {error}): it cannot be shown or edited as "
                f"text. Use bash, for example: file {shlex.quote(self.shown)}"
            ) from error


class IsFolder(ToolError):
    """For the model, or the caller that can show folders: the path is one."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(f"{name} is a directory: give the path of a file in it")
        self.path = path


def bare(path: str) -> str:
    """The path without the white space and quotes that some models put round it."""
    return path.strip().strip("`'\"")


def resolve(sandbox: Sandbox, path: str) -> str:
    """The absolute path in the sandbox of a path that a model gives. Raises: ToolError."""
    path = bare(path)
    if not path:
        raise ToolError("path is empty: give a path relative to the repository, such as src/main.py")
    return posixpath.normpath(posixpath.join(sandbox.workdir, path)).replace("//", "/")


def shown(sandbox: Sandbox, path: str) -> str:
    """The path as the model knows it: relative to the repository where it lies inside."""
    root = sandbox.workdir.rstrip("/") + "/"
    return path.removeprefix(root) if path.startswith(root) else "." if path + "/" == root else path


async def read(sandbox: Sandbox, path: str) -> File:
    """Read a file; an absolute path that is only right below the repository is taken as meant so.

    Raises: ToolError (with the closest names for a missing file; IsFolder), SandboxError.
    """
    last: SandboxFileError | None = None
    for candidate in meant(sandbox, path):
        try:
            return File(candidate, shown(sandbox, candidate), await sandbox.read(candidate))
        except SandboxFileError as error:
            if error.errno == errno.EISDIR:
                raise IsFolder(candidate, shown(sandbox, candidate)) from error
            last = last or error
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                break
    assert last is not None
    if last.errno in {errno.ENOENT, errno.ENOTDIR}:
        raise await missing(sandbox, path) from last
    raise refused(last, path, "read") from last


async def existing(sandbox: Sandbox, path: str) -> str:
    """The absolute path of what is there by this name, or would be. Raises: ToolError, SandboxError."""
    candidates = meant(sandbox, path)
    if len(candidates) == 1:
        return candidates[0]
    ran = await sandbox.exec(["bash", "-c", _FIRST, "bash", *candidates], timeout_s=10)
    return ran.output if ran.output in candidates else candidates[0]


async def read_if_there(sandbox: Sandbox, path: str) -> bytes | None:
    """The bytes of a file, None if there is none. Raises: ToolError, SandboxError."""
    try:
        return await sandbox.read(path)
    except SandboxFileError as error:
        if error.errno == errno.ENOENT:
            return None
        raise refused(error, shown(sandbox, path), "read") from error


async def write(sandbox: Sandbox, path: str, data: bytes) -> None:
    """Write a file. Raises: ToolError, SandboxError."""
    try:
        await sandbox.write(path, data)
    except SandboxFileError as error:
        raise refused(error, shown(sandbox, path), "write") from error


def encode(document: Document, name: str) -> bytes:
    """The bytes of a text for the file `name`. Raises: ToolError where its encoding cannot hold a character."""
    try:
        return document.encode()
    except UnicodeEncodeError as error:
        char = error.object[error.start]
        raise ToolError(
            f"{name} is stored as {document.encoding}, which cannot hold {char!r} (U+{ord(char):04X}): "
            "write it in another way, such as an escape or plain ASCII"
        ) from error


def refused(error: SandboxFileError, path: str, verb: str) -> ToolError:
    """The error for the model."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return ToolError(f"cannot {verb} {path}: {reason}")


async def missing(sandbox: Sandbox, path: str) -> ToolError:
    """The error for a path that does not exist, with the names that it may be meant for. Raises: SandboxError."""
    similar = closest(path, await list_files(sandbox, sandbox.workdir))
    hint = f" Did you mean {' or '.join(similar)}?" if similar else " No file has a name like it."
    return ToolError(f"{path} does not exist.{hint}")


def closest(path: str, names: list[str]) -> list[str]:
    """Up to three of `names` that are most like `path`: first those with its file name."""
    wanted = posixpath.basename(path.rstrip("/")).lower()
    by_base: dict[str, list[str]] = {}
    for name in names:
        by_base.setdefault(posixpath.basename(name).lower(), []).append(name)
    similar = [wanted] if wanted in by_base else []
    if not similar:
        near = [base for base in list(by_base)[:_NAMES_COMPARED] if abs(len(base) - len(wanted)) <= 4]
        similar = difflib.get_close_matches(wanted, near, n=_SUGGESTIONS, cutoff=0.7)
    found = [name for base in similar for name in by_base[base]]
    parts = set(path.lower().split("/"))
    return sorted(found, key=lambda name: (-len(parts & set(name.lower().split("/"))), len(name), name))[:_SUGGESTIONS]


def meant(sandbox: Sandbox, path: str) -> list[str]:
    """The absolute path, then what one with another root ("/repo/src/a.py", "/src/a.py") is in this repository.

    Raises: ToolError.
    """
    path = bare(path)
    full = resolve(sandbox, path)
    root = sandbox.workdir.rstrip("/")
    first, _, rest = full.lstrip("/").partition("/")
    if not path.startswith("/") or full.startswith(root + "/") or full == root or first in _ELSEWHERE:
        return [full]
    return [full, f"{root}{full}", *([f"{root}/{rest}"] if rest else [])]
