"""The two kinds of connection: a hijacked socket of the Docker engine, and the pipes of a child process."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from qcode_sandbox.channel import Channel

_HEADER = struct.Struct(">BxxxL")
_STDOUT = 1


class _Flow:
    """Back pressure of a transport."""

    def __init__(self) -> None:
        self._writable = asyncio.Event()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def drain(self) -> None:
        await self._writable.wait()


class SocketConnection(_Flow, asyncio.Protocol):
    """A socket on which the engine multiplexes stdout and stderr.

    Frames of 8 bytes header (stream, length big-endian) and payload: Docker Engine API, "Attach to a container".
    """

    def __init__(self, feed: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        super().__init__()
        self._feed = feed
        self._ended = ended
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at = 0
        while len(data) - at >= _HEADER.size:
            stream, length = _HEADER.unpack_from(data, at)
            start = at + _HEADER.size
            if len(data) - start < length:
                break
            if stream == _STDOUT:
                self._feed(data[start : start + length])
            at = start + length
        self._rest = data[at:]

    def connection_lost(self, error: Exception | None) -> None:
        self.resume_writing()
        self._gone.set()
        self._ended()

    def write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def end_input(self) -> None:
        if self._transport and not self._transport.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.write_eof()

    async def close(self) -> None:
        if self._transport:
            self._transport.abort()
            await self._gone.wait()


async def over_socket(
    sock: socket.socket, feed: Callable[[bytes], None], ended: Callable[[], None]
) -> SocketConnection:
    """Take over a connected socket."""
    sock.setblocking(False)
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: SocketConnection(feed, ended), sock=sock)
    return protocol


class ProcessConnection(_Flow, asyncio.SubprocessProtocol):
    """The pipes of a child process in a session of its own."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._channel.feed(data)

    def pipe_connection_lost(self, fd: int, error: Exception | None) -> None:
        self.resume_writing()
        if fd == 1:
            self._channel.ended()

    def process_exited(self) -> None:
        self._exited.set()

    @property
    def _stdin(self) -> asyncio.WriteTransport | None:
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        return cast("asyncio.WriteTransport", pipe) if pipe and not pipe.is_closing() else None

    def write(self, data: bytes) -> None:
        if self._stdin:
            self._stdin.write(data)

    def end_input(self) -> None:
        if self._stdin:
            self._stdin.close()

    async def close(self) -> None:
        if self._transport:
            if self._transport.get_returncode() is None:
                with contextlib.suppress(ProcessLookupError):
                    self._transport.kill()
            await self._exited.wait()
            self._transport.close()


async def over_process(
    argv: Sequence[str], *, channel: Channel, cwd: Path, env: Mapping[str, str]
) -> ProcessConnection:
    """Start a process. Raises: OSError."""
    _, protocol = await asyncio.get_running_loop().subprocess_exec(
        lambda: ProcessConnection(channel),
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=os.fspath(cwd),
        env=dict(env),
        start_new_session=True,
    )
    return protocol
