"""Commands on the host itself, in a private copy of the tree: no isolation."""

import asyncio
import contextlib
import errno
import os
import re
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

from qcode_sandbox.channel import Channel
from qcode_sandbox.connections import over_process
from qcode_sandbox.environment import ENVIRONMENT, TAG_BITS, boot
from qcode_sandbox.errors import SandboxFileError, SandboxUnavailable
from qcode_sandbox.owner import Owner
from qcode_sandbox.specs import HostSpec

_PREFIX = "qcode-box-"
_LOCKS = re.compile(rb"^Max file locks\s+(\d+) ", re.MULTILINE)
_PASSES = 10


class HostEngine:
    """A temporary directory, and processes of this user in it."""

    def __init__(self, spec: HostSpec) -> None:
        self._root = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        for name in ("workspace", "home", "tmp", "scratch"):
            (self._root / name).mkdir()
        self.workdir = str(self._root / "workspace")
        self.scratch = str(self._root / "scratch")
        self.base = str(self._root / "base.git")
        self.name = f"host:{self._root.name.removeprefix(_PREFIX)}"
        self.first_tag = secrets.randbits(40) << TAG_BITS
        (self._root / "owner").write_text(f"{Owner.current().text} {self.first_tag}", encoding="utf-8")
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._root / "home"),
            "TMPDIR": str(self._root / "tmp"),
            **ENVIRONMENT,
            **spec.env,
        }

    async def connect(self, channel: Channel, kind: str) -> None:
        try:
            connection = await over_process(
                boot(kind, self.workdir, "host"), channel=channel, cwd=Path(self.workdir), env=self._env
            )
        except OSError as error:
            raise SandboxUnavailable(f"bash cannot be started on the host: {error.strerror or error}") from error
        if not await channel.opened(connection):
            await channel.close()
            raise SandboxUnavailable("bash does not answer on the host")

    def kill(self, tag: int) -> None:
        asyncio.get_running_loop().run_in_executor(None, _kill_tagged, tag, tag)

    def kill_all(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, self._kill_own)

    def _kill_own(self) -> None:
        _kill_tagged(self.first_tag, self.first_tag + (1 << TAG_BITS))

    async def lost(self) -> str:
        there = await asyncio.to_thread(Path(self.workdir).is_dir)
        return "" if there else f"its directory {self._root} was removed"

    def check_path(self, path: str, *, writing: bool) -> None:
        """Only what lies in this sandbox's own directory may be written, links followed first."""
        if writing:
            try:
                real = Path(path).resolve()
            except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
                raise SandboxFileError(errno.ELOOP, os.strerror(errno.ELOOP), path) from error
            if not real.is_relative_to(self._root):
                raise SandboxFileError(errno.EACCES, "outside the sandbox's directory", path)

    def complaint(self) -> str:
        return ""

    async def protect(self, made: str) -> None:
        # Nothing on the host keeps a command from writing there: it is out of the way, no more.
        await asyncio.to_thread(shutil.copytree, made, self.base)

    async def close(self) -> None:
        await asyncio.to_thread(self._kill_own)
        await asyncio.to_thread(_remove, self._root)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    if not directory.exists():
        return
    # A command may have taken away the right to look into a directory.
    for folder, names, _ in os.walk(directory):
        for name in names:
            if not (path := Path(folder, name)).is_symlink():
                path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _tagged(first: int, last: int) -> set[int]:
    """The processes whose soft limit of file locks lies in a range: see server.sh."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (match := _LOCKS.search((process / "limits").read_bytes())) and first <= int(match[1]) <= last:
                found.add(int(process.name))
    return found


def _kill_tagged(first: int, last: int) -> None:
    # Stopped processes cannot fork: stop until a pass finds no new one, then kill.
    found: set[int] = set()
    for _ in range(_PASSES):
        if (now := _tagged(first, last)) <= found:
            break
        _signal(now - found, signal.SIGSTOP)
        found |= now
    _signal(found, signal.SIGKILL)


def _signal(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def reap_stale() -> None:
    """Kill and remove what host sandboxes have left whose own process is gone; blocking."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            text, first_tag = (directory / "owner").read_text(encoding="utf-8").split()
            owner = Owner.parse(text)
            if owner and owner.is_gone() and directory.lstat().st_uid == os.getuid():
                _kill_tagged(int(first_tag), int(first_tag) + (1 << TAG_BITS))
                _remove(directory)
