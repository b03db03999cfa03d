"""Commands on the host itself, in a private copy of the tree: no isolation."""

import asyncio
import errno
import os
import shutil
from pathlib import Path

from qcode_sandbox.channel import Channel
from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.connections import over_process
from qcode_sandbox.environment import ENVIRONMENT, boot
from qcode_sandbox.errors import SandboxFileError, SandboxUnavailable
from qcode_sandbox.folder import Folder
from qcode_sandbox.processes import kill_tagged
from qcode_sandbox.specs import HostSpec


class HostEngine:
    """A temporary directory, and processes of this user in it."""

    def __init__(self, spec: HostSpec) -> None:
        self._folder = Folder.make()
        self._root = self._folder.root
        for name in ("workspace", "home", "tmp", "scratch"):
            (self._root / name).mkdir()
        self.workdir = str(self._root / "workspace")
        self.scratch = str(self._root / "scratch")
        self.base = str(self._root / "base.git")
        self.name = f"host:{self._folder.identity}"
        self.first_tag = self._folder.first_tag
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
        asyncio.get_running_loop().run_in_executor(None, kill_tagged, tag, tag)

    def kill_all(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, self._folder.kill)

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
        # A thread cannot be stopped: it would go on writing while the directory is removed.
        await to_the_end(asyncio.to_thread(shutil.copytree, made, self.base))

    async def close(self) -> None:
        await asyncio.to_thread(self._folder.kill)
        await asyncio.to_thread(self._folder.remove)
