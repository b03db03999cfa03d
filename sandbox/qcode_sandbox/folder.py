"""A private directory of a sandbox on the host, marked with its owner, and the removal of those that were left."""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from qcode_sandbox import cgroups
from qcode_sandbox.environment import TAG_BITS
from qcode_sandbox.owner import LEASE_S, Owner
from qcode_sandbox.processes import end_tagged

_PREFIX = "qcode-box-"
_UNMARKED_S = 600.0


@dataclass(frozen=True, slots=True)
class Folder:
    """`root` is only this user's; the sandbox's processes carry tags from `first_tag` on; its control groups are
    called `name`. Its owner holds a lock on its mark, `held`, which ends with the process at the latest."""

    root: Path
    first_tag: int
    held: IO[bytes] | None = None

    @classmethod
    def make(cls) -> "Folder":
        """A new one. Raises: OSError."""
        root = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        first_tag = secrets.randbits(40) << TAG_BITS
        (root / "owner").write_text(f"{Owner.current().text} {first_tag}", encoding="utf-8")
        held = (root / "owner").open("rb")
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return cls(root, first_tag, held)

    @property
    def identity(self) -> str:
        return self.root.name.removeprefix(_PREFIX)

    @property
    def name(self) -> str:
        return self.root.name

    def kill(self) -> None:
        """Kill all that carries a tag of this sandbox, and wait until it has ended; blocking."""
        end_tagged(self.first_tag, self.first_tag + (1 << TAG_BITS))

    def remove(self) -> None:
        """Remove the directory and its control groups; blocking."""
        if self.held is not None:
            self.held.close()
        # The mark goes last, so that what a kill interrupts here, or still runs, is finished by the next run's reaper.
        if not cgroups.remove(self.root):
            return
        for name in _names(self.root):
            shutil.rmtree(self.root / name, ignore_errors=True)
        if any((self.root / name).is_dir() for name in _names(self.root)):
            _open_up(self.root)
        shutil.rmtree(self.root, ignore_errors=True)


def _is_held(mark: Path) -> bool:
    """Whether its owner lives, in whatever process namespace: a lock is seen from all of them."""
    with mark.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _names(root: Path) -> list[str]:
    try:
        return [path.name for path in root.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _open_up(root: Path) -> None:
    """Undo that a command took away the right to look into a directory."""
    for folder, names, _ in os.walk(root):
        for name in names:
            if not (path := Path(folder, name)).is_symlink():
                path.chmod(0o700)


def reap_stale() -> None:
    """Kill and remove what sandboxes have left whose own process is gone; blocking."""
    for root in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            status = root.lstat()
            if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
                continue
            if not (root / "owner").exists() and status.st_mtime < time.time() - _UNMARKED_S:
                Folder(root, 0).remove()  # its owner was killed before it could be marked
                continue
            text, first_tag = (root / "owner").read_text(encoding="utf-8").split()
            owner = Owner.parse(text)
            expired = status.st_mtime < time.time() - LEASE_S
            if owner and (owner.is_gone() or (expired and not owner.is_near and not _is_held(root / "owner"))):
                left = Folder(root, int(first_tag))
                left.kill()
                left.remove()
