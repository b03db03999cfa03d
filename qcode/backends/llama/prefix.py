"""Evaluated starts of prompts, kept on disk so that no session evaluates the same words twice.

A file is `KEY-DIGEST.kv`: llama.cpp's sequence state under the SHA-256 of what it depends on (model, engine, context,
text) and the SHA-256 of its own bytes. llama.cpp aborts the process on a cut file, so a digest is checked before every
use, and a use that does not come back marks the file as bad for the next process.
"""

import hashlib
import os
from pathlib import Path

from qcode.backends.llama.liveness import is_alive

KEEP_FILES = 4
KEEP_BYTES = 2 * 1024**3


def model_identity(path: Path) -> str:
    """What tells one model file from another without reading gigabytes: size, time, and both ends' digest."""
    edge = 1 << 20
    status = path.stat()
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(edge))
        file.seek(max(0, status.st_size - edge))
        digest.update(file.read(edge))
    return f"{status.st_size}:{status.st_mtime_ns}:{digest.hexdigest()}"


class PrefixStore:
    """The newest few states in one folder, private to the user; several processes may share it.

    `identity` names all that a state depends on except the text. Raises: OSError from the constructor only, where the
    folder cannot be made.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._identity = identity
        self._pid = os.getpid()

    def find(self, prefix: str) -> Path | None:
        """The sound state of this text, marked as in use until `used`; whatever is broken is removed."""
        key = self._key(prefix)
        if self._crashed_before(key):
            self._drop(key)
            return None
        for path in self.folder.glob(f"{key}-*.kv"):
            try:
                if path.stem.rpartition("-")[2] == _digest(path):
                    os.utime(path)
                    self._mark(key).touch(mode=0o600)
                    return path
            except OSError:
                continue
            path.unlink(missing_ok=True)
        return None

    def used(self, prefix: str) -> None:
        """The state that `find` gave was read, whether or not it could be used."""
        self._mark(self._key(prefix)).unlink(missing_ok=True)

    def forget(self, prefix: str) -> None:
        """Drop the state of this text: the engine did not take it."""
        self._drop(self._key(prefix))

    def draft(self) -> Path:
        """Where the engine writes a new state; `keep` gives it its name."""
        return self.folder / f"draft-{self._pid}.tmp"

    def keep(self, prefix: str) -> None:
        """Take the draft in as the state of this text and drop the oldest others. Raises: OSError."""
        draft = self.draft()
        draft.chmod(0o600)
        draft.replace(self.folder / f"{self._key(prefix)}-{_digest(draft)}.kv")
        self._prune()

    def discard_draft(self) -> None:
        """Remove what a failed save may have left."""
        self.draft().unlink(missing_ok=True)

    def _key(self, prefix: str) -> str:
        return hashlib.sha256(f"{self._identity}\0{prefix}".encode()).hexdigest()[:32]

    def _mark(self, key: str) -> Path:
        return self.folder / f"{key}.{self._pid}.reading"

    def _crashed_before(self, key: str) -> bool:
        marks = [mark for mark in self.folder.glob(f"{key}.*.reading") if not is_alive(int(mark.name.split(".")[1]))]
        for mark in marks:
            mark.unlink(missing_ok=True)
        return bool(marks)

    def _drop(self, key: str) -> None:
        for path in self.folder.glob(f"{key}-*.kv"):
            path.unlink(missing_ok=True)

    def _prune(self) -> None:
        for draft in self.folder.glob("draft-*.tmp"):
            if not is_alive(int(draft.stem.rpartition("-")[2])):
                draft.unlink(missing_ok=True)
        room = KEEP_BYTES
        newest_first = sorted(self.folder.glob("*.kv"), key=_age, reverse=True)
        for position, path in enumerate(newest_first):
            room -= _size(path)
            if position >= KEEP_FILES or (room < 0 and position > 0):
                path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
