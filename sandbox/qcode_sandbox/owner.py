"""Which process made a container or a directory, and whether that process is still there."""

import os
from dataclasses import dataclass
from pathlib import Path

LEASE_S = 48 * 3600
"""How long what was made is kept whose owner cannot be looked for."""

_UNKNOWN = "-"


def _start_of(pid: int) -> str:
    """Clock ticks after boot at which a process started; field 22 of /proc/PID/stat (proc_pid_stat(5))."""
    try:
        # The name, field 2, may hold spaces and parentheses.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return _UNKNOWN


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip() or _UNKNOWN
    except (OSError, ValueError):
        return _UNKNOWN


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return _UNKNOWN


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from a later one with the same number, on this machine or another."""

    pid: int
    start: str
    boot: str
    namespace: str
    machine: str

    @classmethod
    def current(cls) -> "Owner":
        pid = os.getpid()
        return cls(
            pid,
            _start_of(pid),
            _text_of("/proc/sys/kernel/random/boot_id"),
            _namespace(),
            _text_of("/etc/machine-id"),
        )

    @classmethod
    def parse(cls, text: str) -> "Owner | None":
        parts = text.split("/")
        if len(parts) != 5 or not parts[0].isdigit():
            return None
        return cls(int(parts[0]), *parts[1:])

    @property
    def text(self) -> str:
        return "/".join((str(self.pid), self.start, self.boot, self.namespace, self.machine))

    @property
    def is_near(self) -> bool:
        """Whether it is of this machine and process namespace, so that `is_gone` knows."""
        here = Owner.current()
        return (self.machine, self.namespace) == (here.machine, here.namespace)

    def is_gone(self) -> bool:
        """Whether the process surely no longer exists; False where that cannot be known from here."""
        here = Owner.current()
        if self.machine != here.machine:
            return False
        if self.boot != here.boot:
            return True
        if self.namespace != here.namespace:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return _start_of(self.pid) != self.start
