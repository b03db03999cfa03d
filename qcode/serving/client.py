"""A session's side of a server: start it or join it, wait for it, leave it, stop it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from qcode.backends.openai_compat.faults import one_line
from qcode.errors import ConfigError, Unavailable
from qcode.serving.state import Phase, Record, ServerFolder
from qcode.serving.supervisor import ALREADY, Instruction

_POLL_S = 0.2
_STARTS = 3
_START_S = 60.0
_STOP_S = 40.0

Notice = Callable[[str], None]


class Lease:
    """The use of a server by this process, until `release` or the process's end.

    With an instruction the server is started where none runs, and again where its supervisor was killed.
    """

    def __init__(self, folder: ServerFolder, instruction: Instruction | None, notice: Notice) -> None:
        self.folder = folder
        self._instruction = instruction
        self._notice = notice
        self._descriptor: int | None = None
        self._said: set[tuple[int, str]] = set()

    async def ready(self) -> Record:
        """Wait until the server answers, however long it loads, and say how far it is.

        Raises: ConfigError, Unavailable.
        """
        if self._descriptor is None:
            self.folder.make()
            self._descriptor = await asyncio.to_thread(self.folder.lease)
        starts, was_alive = 0, False
        while True:
            alive, record = self.folder.supervised(), self.folder.read()
            if alive:
                was_alive = True
                if record is not None and record.phase is Phase.READY:
                    return record
                self._say(record)
            elif record is not None and record.phase is Phase.FAILED and (starts or was_alive):
                raise Unavailable(f"{record.title} cannot be served: {record.error}; see {self.folder.log}")
            elif self._instruction is None or starts == _STARTS:
                raise Unavailable(f"the server {self.folder.id} has gone: start it with `qcode serve`")
            else:
                starts += 1
                await asyncio.to_thread(start, self.folder, self._instruction)
                continue
            await asyncio.sleep(_POLL_S)

    async def changed(self, since: Record, *, within_s: float) -> bool:
        """After a failure: whether the server has noticed one too, and is being, or was, started again."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            record = self.folder.read()
            if not self.folder.supervised() or record is None:
                return True
            if record.generation != since.generation or record.phase is not Phase.READY:
                return True
            await asyncio.sleep(_POLL_S)
        return False

    def release(self) -> None:
        """Leave; safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _say(self, record: Record | None) -> None:
        if record is None:
            return
        lines = [f"{record.title}: {record.note}" if record.restarts else f"{record.title} is starting"]
        if record.progress != "starting":
            lines.append(f"{record.title}: {record.progress}")
        for line in lines:
            if (record.restarts, line) not in self._said:
                self._said.add((record.restarts, line))
                self._notice(line)


def start(folder: ServerFolder, instruction: Instruction) -> None:
    """Start the server's supervisor; does nothing where one runs. Raises: ConfigError, Unavailable."""
    folder.make()
    log = folder.path / "supervisor.log"
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "qcode.serving.supervisor", str(folder.path)],
                input=instruction.model_dump_json().encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder.work,
                timeout=_START_S,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the server's supervisor cannot be started: {error}") from error
    if done.returncode not in {0, ALREADY}:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise Unavailable(f"the server's supervisor failed: {one_line(lines[-1] if lines else 'no word')}; see {log}")


def stop(folder: ServerFolder, *, force: bool = False) -> None:
    """End a server; blocks until it has ended.

    Raises: ConfigError where sessions use it, Unavailable where it does not end.
    """
    users = folder.users()
    if users and not force:
        sessions = "a session uses" if users == 1 else f"{users} sessions use"
        raise ConfigError(f"{sessions} {folder.id}: it ends with the last of them; --force ends it now")
    folder.keep.unlink(missing_ok=True)
    told: set[int] = set()
    deadline = time.monotonic() + _STOP_S
    while folder.supervised():
        record = folder.read()
        if record is not None and record.supervisor not in told:
            told.add(record.supervisor)
            _signal(record.supervisor, signal.SIGTERM)
        if time.monotonic() > deadline:
            if record is None:
                raise Unavailable(f"{folder.id} does not end, and has no record: see {folder.path}")
            # The engine is killed with it.
            _signal(record.supervisor, signal.SIGKILL)
        time.sleep(_POLL_S)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
