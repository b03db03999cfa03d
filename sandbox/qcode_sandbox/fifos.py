"""A connection over two named pipes in a directory that a sandbox shares with its host."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path


class FifoConnection:
    """The host's ends of NAME.in and NAME.out; the names are removed as soon as both sides have them open."""

    def __init__(self, folder: Path, name: str, *, owner: tuple[int, int] | None) -> None:
        self._paths = (folder / f"{name}.in", folder / f"{name}.out")
        self._held = -1
        self._write: asyncio.WriteTransport | None = None
        self._out: _WriteEnd | None = None
        self._read: asyncio.ReadTransport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        for path in self._paths:
            os.mkfifo(path, 0o600)
            if owner:
                os.chown(path, *owner)

    async def open(self, feed: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """Open the host's ends, before the other side is there. Raises: OSError."""
        loop = asyncio.get_running_loop()
        into, out = self._paths
        # A pipe can be opened for writing without blocking only while somebody reads it: this process, at first.
        self._held = os.open(into, os.O_RDWR | os.O_NONBLOCK)
        write_end = os.fdopen(os.open(into, os.O_WRONLY | os.O_NONBLOCK), "wb", buffering=0)
        transport, self._out = await loop.connect_write_pipe(lambda: _WriteEnd(self._writable), write_end)
        self._write = transport
        read_end = os.fdopen(os.open(out, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
        self._read, _ = await loop.connect_read_pipe(lambda: _ReadEnd(feed, ended, self._writable), read_end)

    def forget_names(self) -> None:
        """The other side has both ends open, or never will."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
        for path in self._paths:
            path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        if self._write and not self._write.is_closing():
            self._write.write(data)

    async def drain(self) -> None:
        await self._writable.wait()

    def end_input(self) -> None:
        if self._write and not self._write.is_closing():
            with contextlib.suppress(OSError):
                self._write.write_eof()

    async def close(self) -> None:
        self.forget_names()
        # A transport that is closed already cannot be aborted.
        if self._write and self._out and not self._out.lost:
            self._write.abort()
        if self._read:
            self._read.close()
        # Transports close their files in the next turn of the loop.
        await asyncio.sleep(0)


class _WriteEnd(asyncio.BaseProtocol):
    def __init__(self, writable: asyncio.Event) -> None:
        self._writable = writable
        self.lost = False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._writable.set()


class _ReadEnd(asyncio.Protocol):
    def __init__(self, feed: Callable[[bytes], None], ended: Callable[[], None], writable: asyncio.Event) -> None:
        self._feed = feed
        self._ended = ended
        self._writable = writable

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._writable.set()
        self._ended()
