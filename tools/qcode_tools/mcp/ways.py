"""The ways to a server: a program in the sandbox, one on this machine, an address."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from qcode_sandbox.errors import SandboxError
from qcode_sandbox.protocol import Pipe, Sandbox
from qcode_tools.mcp.host import host_pipe
from qcode_tools.mcp.login import OpenPage
from qcode_tools.mcp.schema import short
from qcode_tools.mcp.settings import Configured, ServerSettings
from qcode_tools.mcp.transport import TransportStreams, over_pipe

Variables = Mapping[str, str]
"""The user's environment."""

_SAID = 300
_OF_THE_SHELL = re.compile(r"\A(?:environment|bash): line \d+: (?:exec: )?")
"""Before what the sandbox's shell says of a program that it cannot start."""


class Way(Protocol):
    """How one server is reached, again and again."""

    def streams(self) -> AbstractAsyncContextManager[TransportStreams]:
        """Connect. Raises: ServerError, SandboxError."""
        ...

    async def complaint(self) -> str:
        """What the server or the way had to say at last, one line, safe to show; "" if nothing."""
        ...


class PipeWay:
    """A program that is started for each connection."""

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[Pipe]]) -> None:
        self._start = start
        self._pipe: Pipe | None = None

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        async with self._start() as pipe:
            self._pipe = pipe
            async with over_pipe(pipe) as streams:
                yield streams

    async def complaint(self) -> str:
        try:
            said = await self._pipe.said() if self._pipe is not None else ""
        except SandboxError:
            return ""
        lines = [line for line in said.splitlines() if line.strip()]
        return short(_OF_THE_SHELL.sub("", lines[-1]), _SAID) if lines else ""


def in_sandbox(configured: Configured, sandbox: Callable[[], Awaitable[Sandbox]], variables: Variables) -> PipeWay:
    """A program in the session's sandbox, which is awaited."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Pipe]:
        box = await sandbox()
        settings = configured.filled(variables, box.workdir)
        assert settings.command is not None, "only a command runs in the sandbox"
        command = [settings.command, *settings.args]
        async with box.talk(command, cwd=settings.cwd, env=settings.env) as pipe:
            yield pipe

    return PipeWay(start)


def on_host(settings: ServerSettings, variables: Variables) -> PipeWay:
    """A program on this machine."""
    return PipeWay(lambda: host_pipe(settings, variables))


class WebWay:
    """An address."""

    def __init__(self, settings: ServerSettings, token_file: Path, open_page: OpenPage | None) -> None:
        from qcode_tools.mcp.web import Heard

        self._settings = settings
        self._token_file = token_file
        self._open_page = open_page
        self._heard = Heard()

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        from qcode_tools.mcp.web import over_http

        self._heard.status = 0
        async with over_http(
            self._settings, token_file=self._token_file, heard=self._heard, open_page=self._open_page
        ) as streams:
            yield streams

    @property
    def wants_login(self) -> bool:
        """Whether the last answer was that the user is not known."""
        return self._heard.status == 401

    async def complaint(self) -> str:
        return str(self._heard)
