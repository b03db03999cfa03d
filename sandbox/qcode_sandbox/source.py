"""A Source as a tar archive: only regular files and symlinks, only from inside its root."""

import os
import stat
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from qcode_sandbox.errors import SandboxError
from qcode_sandbox.specs import Source

_IN_MEMORY = 32_000_000


def archive(source: Source, *, limit: int) -> tuple[BinaryIO, int]:
    """A file with the archive, at its start, and the archive's size.

    `limit`: bytes that the files may have together. Raises: SandboxError.
    """
    root = source.root.resolve()
    folders: dict[PurePosixPath, bool] = {PurePosixPath(): True}
    total = 0
    file = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115
    try:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 18) as tar:
            for name in source.files:
                total += _add(tar, root, name, folders)
                if total > limit:
                    raise SandboxError(
                        f"the repository is larger than the sandbox's disk of {limit // 1_000_000} MB: give it more"
                    )
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, size


def _inside(root: Path, folder: PurePosixPath, folders: dict[PurePosixPath, bool]) -> bool:
    """Whether a directory of the tree is reached without a symlink."""
    if folder not in folders:
        folders[folder] = _inside(root, folder.parent, folders) and stat.S_ISDIR((root / folder).lstat().st_mode)
    return folders[folder]


def _add(tar: tarfile.TarFile, root: Path, name: str, folders: dict[PurePosixPath, bool]) -> int:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise SandboxError(f"{name!r} is not a path inside {root}: it cannot go into the sandbox")
    try:
        if not _inside(root, path.parent, folders):
            raise SandboxError(f"{name!r} lies behind a symlink: it cannot go into the sandbox")
        status = (root / path).lstat()
        entry = tarfile.TarInfo(str(path))
        entry.mtime = int(status.st_mtime)
        entry.mode = stat.S_IMODE(status.st_mode) & 0o777
        if stat.S_ISLNK(status.st_mode):
            entry.type = tarfile.SYMTYPE
            entry.linkname = str((root / path).readlink())
            tar.addfile(entry)
            return 0
        if not stat.S_ISREG(status.st_mode):
            raise SandboxError(f"{name!r} is neither a file nor a symlink: it cannot go into the sandbox")
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as content:
            entry.size = os.fstat(descriptor).st_size
            tar.addfile(entry, content)
        return entry.size
    except OSError as error:
        raise SandboxError(f"{name!r} cannot be copied into the sandbox: {error.strerror or error}") from error
