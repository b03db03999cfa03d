"""Namespaces made by bubblewrap as the place where commands run."""

import asyncio
import contextlib
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, cast

from qcode_sandbox import cgroups, outlet
from qcode_sandbox.bind import Bound, survey
from qcode_sandbox.bwrap_mounts import BASE, HOME, PIPES, SCRATCH, mounts
from qcode_sandbox.channel import Channel
from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.environment import BOOT, ENVIRONMENT, boot, script
from qcode_sandbox.errors import SandboxError, SandboxLost, SandboxUnavailable
from qcode_sandbox.fifos import FifoConnection
from qcode_sandbox.folder import Folder
from qcode_sandbox.processes import kill_tagged
from qcode_sandbox.seccomp import filter_program
from qcode_sandbox.specs import Bind, BubblewrapSpec

_INSIDE = (1000, 1000)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FIRST_UID, _UIDS = 0x7000_0000, 0x00FF_FFFF
"""Numbers that no user has: when root starts a sandbox, it gives each one a number of its own."""
_START_S = 60.0
_ANSWER_S = 30.0
_PACK_S = 600.0
_IN_MEMORY = 16_000_000
_NOT_FOUND = (
    "bubblewrap is not installed: apt-get install bubblewrap (or dnf, pacman: the program is bwrap), or use "
    "--sandbox docker; --sandbox none runs commands on the host itself"
)
_WITHOUT = {"memory": "it is limited for each process, not for all together", "cpu": "it is not limited"}
_LAUNCH = 'while [ "$1" != : ]; do echo 0 >"$1" || exit 97; shift; done; shift; exec "$@"'
"""Enters control groups before anything else runs, and before rights to do so are given up."""


@asynccontextmanager
async def open_namespaces(spec: BubblewrapSpec, way_out: Path | None) -> AsyncIterator["BubblewrapEngine"]:
    """A running sandbox, gone when the context is left; `way_out` as outlet.outlet gives it. Raises: SandboxError."""
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxUnavailable(_NOT_FOUND)
    bound = await asyncio.to_thread(survey, spec.source.root) if isinstance(spec.source, Bind) else None
    engine = BubblewrapEngine(spec, bound, way_out)
    try:
        await to_the_end(engine.start(program))
        yield engine
    finally:
        await to_the_end(engine.close())


def _user_outside(bound: Bound | None) -> tuple[int, int] | None:
    """Whom the sandbox's user is to the host; None: who this process is, because it is not root or root only in a
    namespace that knows nobody else."""
    if os.geteuid() != 0 or not _is_known(_FIRST_UID):
        return None
    if bound:
        return bound.uid, bound.gid
    number = _FIRST_UID + secrets.randbelow(_UIDS)
    return number, number


def _is_known(uid: int) -> bool:
    """Whether this process's user namespace has a number (user_namespaces(7))."""
    lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    ranges = [list(map(int, line.split())) for line in lines]
    return any(first <= uid < first + count for first, _, count in ranges)


class BubblewrapEngine:
    """One bwrap process and what it holds; qcode talks to it over pipes."""

    workdir: str
    scratch = SCRATCH
    base = BASE

    def __init__(self, spec: BubblewrapSpec, bound: Bound | None, way_out: Path | None) -> None:
        self._spec = spec
        self._bound = bound
        self._way_out = way_out
        self._relay = b"relay\n" if way_out else b""
        self._user = _user_outside(bound)
        self._folder = Folder.make()
        if self._user:
            self._folder.root.chmod(0o711)
        self._pipes = self._folder.root / "pipes"
        for directory in (self._pipes, self._folder.root / "base.git"):
            directory.mkdir(mode=0o755)
        self.workdir = spec.workdir
        self.name = f"bubblewrap:{self._folder.identity}"
        self.first_tag = self._folder.first_tag
        self._process: asyncio.subprocess.Process | None = None
        self._connections = 0

    async def start(self, program: str) -> None:
        """Start it, and wait until it answers. Raises: SandboxError."""
        spec = self._spec
        group = await asyncio.to_thread(
            lambda: cgroups.make(self._folder.root, memory_mb=spec.memory_mb, pids=spec.pids, cpus=spec.cpus)
        )
        for limit, instead in _WITHOUT.items():
            if limit not in group.held:
                spec.on_progress(f"no control group for {limit} can be made here: {instead}")
        seen = await asyncio.to_thread(
            lambda: mounts(spec, self._folder.root, self._bound, counter=group.counter, way_out=self._way_out)
        )
        with _memory_file(_filter()) as syscalls:
            words = [*self._isolation(), "--seccomp", str(syscalls), *seen]
            with _memory_file(b"".join(os.fsencode(word) + b"\0" for word in words)) as arguments:
                command = [program, "--args", str(arguments), "--", *self._first_process("memory" in group.held)]
                if self._user:
                    uid, gid = self._user
                    command = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *command]
                self._process = await asyncio.create_subprocess_exec(
                    "sh", "-c", _LAUNCH, "sh", *map(str, group.entries), ":", *command,
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                    cwd="/", env={"PATH": _PATH}, start_new_session=True, pass_fds=[arguments, syscalls],
                )  # fmt: skip
        self._say(script("bwrap_init.sh") + self._relay)
        if not await self._answers(_START_S):
            raise SandboxUnavailable(
                f"bubblewrap cannot make the sandbox: {await self._last_words()} (where user namespaces are "
                "restricted, allow them to bwrap or use --sandbox docker)"
            )

    def _isolation(self) -> list[str]:
        environment = {"PATH": _PATH, "HOME": HOME, "USER": "dev", **ENVIRONMENT, **self._spec.env}
        environment |= outlet.environment(self._spec.gate)
        settings = [word for name, value in environment.items() for word in ("--setenv", name, value)]
        uid, gid = _INSIDE
        return [
            "--unshare-all", "--unshare-user", "--uid", str(uid), "--gid", str(gid), "--hostname", "box",
            "--cap-drop", "ALL", "--new-session", "--die-with-parent", "--as-pid-1", "--clearenv", *settings,
        ]  # fmt: skip

    def _first_process(self, memory_is_held: bool) -> list[str]:
        spec = self._spec
        data_kb = "unlimited" if memory_is_held else str(spec.memory_mb << 10)
        file_kb = str(spec.disk_mb << 10) if self._bound else "unlimited"
        relay = outlet.RELAY if self._way_out else []
        return boot(PIPES, str(spec.open_files), str(spec.pids), data_kb, file_kb, BOOT, self.workdir, *relay)

    async def connect(self, channel: Channel, kind: str) -> None:
        if self._gone:
            raise SandboxLost(f"{self.name} is gone: {await self.lost()}")
        connection, name = self._pipe_pair()
        try:
            await connection.open(channel.feed, channel.ended)
            self._say(b"open %b %b\n" % (name.encode(), kind.encode()))
            there = await channel.opened(connection)
        finally:
            connection.forget_names()
        if not there:
            await channel.close()
            raise SandboxError("no process can be started in the sandbox, or it has no bash")

    def kill(self, tag: int) -> None:
        asyncio.get_running_loop().run_in_executor(None, kill_tagged, tag, tag)

    def kill_all(self) -> None:
        # Those with tags first: the process that hears "all" may itself be waiting for room for a new one.
        asyncio.get_running_loop().run_in_executor(None, self._folder.kill)
        self._say(b"all\n" + self._relay)

    async def lost(self) -> str:
        if not self._gone and await self._answers(_ANSWER_S):
            return ""
        return "its first process was killed from outside" if self._gone else "it does not answer"

    @property
    def _gone(self) -> bool:
        """Whether it has ended. That its output has ended is known sooner than its exit code."""
        process = self._process
        return process is None or process.returncode is not None or process.stdout is None or process.stdout.at_eof()

    def check_path(self, path: str, *, writing: bool) -> None:
        """Every path may be tried: what is inside is all there is."""

    def complaint(self) -> str:
        return ""

    async def protect(self, made: str) -> None:
        with cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)) as packed:
            connection, name = self._pipe_pair()
            ended = asyncio.Event()
            try:
                await connection.open(lambda data: _write(packed, data), ended.set)
                self._say(f"pack {name} {made}\n".encode())
                async with asyncio.timeout(_PACK_S):
                    await ended.wait()
            except TimeoutError:
                raise SandboxError("the sandbox could not be set up: its tree could not be remembered") from None
            finally:
                await connection.close()
            packed.seek(0)
            # A thread cannot be stopped: it would go on writing while the directory is removed.
            await to_the_end(asyncio.to_thread(_unpack, packed, self._folder.root / "base.git"))

    async def close(self) -> None:
        """End all that runs inside, and remove what was made for it."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if process.stdin:
                process.stdin.close()
        await asyncio.to_thread(self._folder.kill)
        await asyncio.to_thread(self._folder.remove)

    def _pipe_pair(self) -> tuple[FifoConnection, str]:
        self._connections += 1
        name = f"{self._connections}"
        return FifoConnection(self._pipes, name, owner=self._user), name

    def _say(self, words: bytes) -> None:
        if self._process and self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(words)

    async def _answers(self, within_s: float) -> bool:
        assert self._process and self._process.stdout
        self._say(b"ping\n")
        try:
            async with asyncio.timeout(within_s):
                return bool(await self._process.stdout.readline())
        except TimeoutError:
            return False

    async def _last_words(self) -> str:
        assert self._process and self._process.stderr
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                said = (await self._process.stderr.read(4000)).decode(errors="replace").strip()
                return said.rsplit("\n", 1)[-1] or f"exit code {await self._process.wait()}"
        return "it does not answer"


def _filter() -> bytes:
    machine = os.uname().machine
    try:
        return filter_program(machine)
    except KeyError:
        raise SandboxUnavailable(f"no filter of system calls is known for {machine}: use --sandbox docker") from None


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """A descriptor to hand on, at the start of the content."""
    with os.fdopen(os.memfd_create("qcode"), "w+b") as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _unpack(packed: BinaryIO, folder: Path) -> None:
    """Only directories and regular files, only below `folder`. Raises: SandboxError."""
    with tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            target = folder / member.name
            if ".." in target.parts or not target.is_relative_to(folder) or not (member.isdir() or member.isreg()):
                raise SandboxError("the sandbox could not be set up: its memory of the tree holds strange files")
            if member.isdir():
                target.mkdir(exist_ok=True)
            elif content := archive.extractfile(member):
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
