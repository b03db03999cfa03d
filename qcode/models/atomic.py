"""Files that are there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well; nothing is left of it otherwise.

    The data is on the disk before the name changes. Raises: OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        _rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def adopt(file: Path, path: Path) -> None:
    """Give a finished file, from any file system, its name. Raises: OSError."""
    if file.stat().st_dev != path.parent.stat().st_dev:
        with replacing(path) as copy, file.open("rb") as source:
            while chunk := source.read(4 * 1024 * 1024):
                copy.write(chunk)
        file.unlink()
        return
    with file.open("rb") as source:
        os.fsync(source.fileno())
    _rename(file, path)


def _rename(temporary: Path, path: Path) -> None:
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _umask() -> int:
    # It can only be read by setting it.
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_text(path: Path, text: str) -> None:
    """Replace a small file. Raises: OSError."""
    with replacing(path) as file:
        file.write(text.encode())


def sweep(directory: Path) -> None:
    """Remove what a killed run left half written. Raises: OSError."""
    for leftover in directory.glob(".*.partial"):
        leftover.unlink(missing_ok=True)
