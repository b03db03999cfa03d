"""What is known about a server that runs: a folder with its record, its lock, its log and the leases of its users.

A lock is a file that a process holds with flock: it ends with the process however that ends, so nothing is left to
clean up after a crash. The supervisor holds `lock`; each session that uses the server holds a file in `leases`.
"""

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from qcode.config.paths import state_dir
from qcode.errors import ConfigError
from qcode.messages import Frozen
from qcode.models.atomic import write_text
from qcode.serving.plan import Plan


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class Record(Frozen):
    """A server as its supervisor last described it. `generation` counts the engine's starts; `note` says what changed
    at the last one."""

    id: str
    model: str
    title: str
    engine: str
    served: str
    base_url: str
    phase: Phase
    progress: str = ""
    context: int
    generation: int = 0
    restarts: int = 0
    note: str = ""
    error: str = ""
    since: str
    """ISO 8601, UTC."""
    supervisor: int
    processes: tuple[int, ...] = ()


class ServerFolder:
    """The folder of one server, whether it runs or not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def log(self) -> Path:
        return self.path / "engine.log"

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def keep(self) -> Path:
        """There, the server stays when nobody uses it."""
        return self.path / "keep"

    def make(self) -> None:
        """Create it, for this user only. Raises: ConfigError."""
        try:
            for folder in (self.path, self.work, self.path / "leases"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"cannot make {self.path}: {error.strerror or error}") from error

    def read(self) -> Record | None:
        """The record; None where there is none, or one of another version of qcode."""
        try:
            return Record.model_validate_json((self.path / "record.json").read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, record: Record) -> None:
        """Raises: OSError."""
        write_text(self.path / "record.json", record.model_dump_json())

    def plan(self) -> Plan | None:
        """What it was started with; None where there is none, or one of another version of qcode."""
        try:
            return Plan.model_validate_json((self.path / "plan.json").read_bytes())
        except (OSError, ValueError):
            return None

    def write_plan(self, plan: Plan) -> None:
        """Raises: OSError."""
        write_text(self.path / "plan.json", plan.model_dump_json())

    def take_lock(self) -> int | None:
        """Become the server's supervisor: a descriptor to keep; None where there is one already. Raises: OSError."""
        # Whoever looks whether it is held holds it for an instant.
        for _ in range(25):
            if (descriptor := _locked(self.path / "lock")) is not None:
                return descriptor
            time.sleep(0.02)
        return None

    def supervised(self) -> bool:
        """Whether a supervisor is alive."""
        return _is_held(self.path / "lock")

    def lease(self) -> int:
        """Say that this process uses the server, until the descriptor is closed. Raises: OSError."""
        path = self.path / "leases" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        while True:
            descriptor = _locked(path)
            if descriptor is not None:
                # Between its making and its locking it may have looked like a dead session's, and been removed.
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_ino == os.fstat(descriptor).st_ino:
                        return descriptor
                os.close(descriptor)

    def users(self) -> int:
        """How many sessions use the server; what dead ones left is removed."""
        alive = 0
        for path in (self.path / "leases").glob("*"):
            if _is_held(path):
                alive += 1
            else:
                path.unlink(missing_ok=True)
        return alive


def servers_dir() -> Path:
    """Where all servers of this user have their folders."""
    return state_dir() / "servers"


def folder_of(id: str) -> ServerFolder:
    return ServerFolder(servers_dir() / id)


def known_servers() -> Iterator[ServerFolder]:
    """Every server that ever ran, by name."""
    with contextlib.suppress(OSError):
        yield from (ServerFolder(path) for path in sorted(servers_dir().iterdir()) if (path / "lock").exists())


def running(id: str | None = None) -> Iterator[tuple[ServerFolder, Record]]:
    """Servers with a living supervisor, or the one of that id."""
    for folder in known_servers():
        if id in {None, folder.id} and folder.supervised() and (record := folder.read()) is not None:
            yield folder, record


def _locked(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who ask at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
