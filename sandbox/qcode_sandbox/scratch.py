"""A folder for what an image is made from, or for one attempt: a process that is killed leaves its to the next one."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from qcode_sandbox.cleanup import to_the_end

_PREFIX = "qcode-scratch-"
_NEW_S = 60.0
"""So new a folder may be one that its maker has yet to lock."""


@contextlib.asynccontextmanager
async def scratch(parent: Path | None = None) -> AsyncIterator[Path]:
    """A new folder, only this user's, that goes with all in it when the context is left.

    It lies in `parent`, or where temporary files are, and is locked for as long as its process lives, so that the next
    one that comes by can tell and remove what was left. Raises: OSError.
    """
    place = parent or Path(tempfile.gettempdir())
    await asyncio.to_thread(sweep, place)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nobody else can take it either
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        try:
            await to_the_end(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
        finally:
            os.close(lock)


def sweep(place: Path) -> None:
    """Remove what processes have left in `place` that ended without doing so; blocking."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                continue
            if status.st_mtime < time.time() - _NEW_S and not _is_held(folder) and not _holds_a_mount(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    """Whether its maker lives, in whatever process namespace: a lock is seen from all of them. Raises: OSError."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _holds_a_mount(folder: Path) -> bool:
    """debootstrap mounts /proc and /sys below its folder, and may still be at it when qcode was killed."""
    mounts = Path("/proc/self/mountinfo")
    return mounts.exists() and f" {folder.resolve()}/" in mounts.read_text(encoding="utf-8", errors="surrogateescape")
