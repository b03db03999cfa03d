"""A server that runs on this machine, outside of the sandbox, as the user decided.

It gets a private folder as its directory and for temporary files, few variables, and a guard: a bash in its process
group that kills the group when qcode has gone, however qcode went. What left the group carries the folder's tag (see
qcode_sandbox.processes) and ends with the pipe, or when the next sandbox looks for what was left.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.folder import Folder
from qcode_tools.mcp.errors import ServerError
from qcode_tools.mcp.settings import ServerSettings

_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")
_LEAVE_S = 2.0
_KILL_GRACE_S = 5.0
_READ = 1 << 16
_READS = 16
_SAID = 4_000
"""Bytes of its stderr that are kept, the last ones."""

# $1 is the tag, $2 the end of a pipe that only qcode holds the other end of.
_GUARD = """
ulimit -S -x "$1"
watch=$2
shift 2
( read -r -u "$watch"; kill -KILL -- "-$$" ) </dev/null >/dev/null 2>&1 &
eval "exec $watch<&-"
exec -- "$@"
"""


def environment(settings: ServerSettings, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that a server on this machine gets: where programs and homes are, and what the user named."""
    return {**{name: variables[name] for name in _INHERITED if name in variables}, **settings.env}


@asynccontextmanager
async def host_pipe(settings: ServerSettings, variables: Mapping[str, str]) -> AsyncIterator["HostPipe"]:
    """Start the server; when the context is left it is gone with all that it started. Raises: ServerError."""
    assert settings.command is not None, "only a command runs on this machine"
    given = environment(settings, variables)
    program = shutil.which(settings.command, path=given.get("PATH", os.defpath))
    if program is None:
        raise ServerError(f"there is no program {settings.command!r} on this machine")
    folder = await asyncio.to_thread(Folder.make)
    try:
        directory = await asyncio.to_thread(_prepared, folder, settings.cwd)
        given.setdefault("TMPDIR", str(folder.root / "tmp"))
        watched, held = os.pipe()
        errors = Errors()
        try:
            try:
                process = await asyncio.create_subprocess_exec(
                    "bash", "--norc", "--noprofile", "-c", _GUARD, "qcode", str(folder.first_tag), str(watched),
                    program, *settings.args,
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors.end,
                    cwd=directory, env=given, start_new_session=True, pass_fds=[watched],
                )  # fmt: skip
            except OSError as error:
                raise ServerError(f"it cannot be started: {error.strerror or error}") from error
            finally:
                os.close(watched)
                os.close(errors.end)
            pipe = HostPipe(process, errors)
            try:
                yield pipe
            finally:
                await to_the_end(pipe.close(folder))
        finally:
            os.close(held)
            errors.close()
    finally:
        await to_the_end(asyncio.to_thread(folder.remove))


def _prepared(folder: Folder, wanted: str | None) -> Path:
    for name in ("work", "tmp"):
        (folder.root / name).mkdir()
    directory = Path(wanted).expanduser() if wanted else folder.root / "work"
    if not directory.is_dir():
        raise ServerError(f"its folder {directory} is not there")
    return directory


class HostPipe:
    """Implements `Pipe` over a child's streams."""

    def __init__(self, process: asyncio.subprocess.Process, errors: "Errors") -> None:
        self._process = process
        self._errors = errors

    @property
    def pid(self) -> int:
        return self._process.pid

    async def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (OSError, RuntimeError) as error:
            raise BrokenPipeError from error

    async def read(self) -> bytes:
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.read(_READ)
        except OSError:
            return b""

    async def said(self) -> str:
        # What it wrote before its stdout ended is in the pipe by now.
        self._errors.take()
        return self._errors.last.decode(errors="replace").strip()

    async def close(self, folder: Folder) -> None:
        """End it: its input first, then by force."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        ended = asyncio.ensure_future(self._process.wait())
        await asyncio.wait({ended}, timeout=_LEAVE_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(folder.kill)
        # What it wrote and nobody read keeps the pipe open.
        rest = {ended, asyncio.ensure_future(self._drain())}
        await asyncio.wait(rest, timeout=_KILL_GRACE_S)
        for task in rest:
            task.cancel()
        await asyncio.wait(rest)

    async def _drain(self) -> None:
        while await self.read():
            pass


class Errors:
    """A pipe for the stderr of a program, read as it comes; `end` is the program's, `last` the last of what came."""

    def __init__(self) -> None:
        self.last = b""
        self._read, self.end = os.pipe()
        os.set_blocking(self._read, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read, self.take)

    def take(self) -> None:
        """Take in what is there, and not for ever from a program that goes on writing."""
        for _ in range(_READS if self._read >= 0 else 0):
            try:
                data = os.read(self._read, _READ)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._read)
                return
            self.last = (self.last + data)[-_SAID:]

    def close(self) -> None:
        """Nothing more is taken in; safe to call twice."""
        if self._read >= 0:
            self._loop.remove_reader(self._read)
            os.close(self._read)
            self._read = -1
