"""SHA-256 of large files."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_CHUNK = 4 * 1024 * 1024

Advance = Callable[[int], None]
"""Told the number of bytes that were done since the last call."""


def ignore(_: int) -> None:
    """An Advance for those who do not watch."""


def sha256_of(path: Path, advance: Advance = ignore) -> str:
    """Hex digest of the whole file. Raises: OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


class HashingWriter:
    """Copies streams into a file and keeps the digest of what went in."""

    def __init__(self, file: BinaryIO, advance: Advance = ignore) -> None:
        self._file = file
        self._advance = advance
        self._digest = hashlib.sha256()
        self.size = 0

    def copy(self, source: BinaryIO) -> None:
        """Append all of `source`. Raises: OSError."""
        while chunk := source.read(_CHUNK):
            self._file.write(chunk)
            self._digest.update(chunk)
            self.size += len(chunk)
            self._advance(len(chunk))

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
