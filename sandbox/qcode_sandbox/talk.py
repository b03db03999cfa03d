"""A program in the sandbox that one talks with for as long as it runs, over its stdin and stdout."""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from qcode_sandbox import programs
from qcode_sandbox.channel import Call, Channel, Taker
from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.engine import Engine
from qcode_sandbox.errors import SandboxError, SandboxFileError

HELD_AT_MOST = 64_000_000
"""Bytes that nobody has read yet; a program that writes more is not listened to any longer."""

_LEAVE_S = 2.0
"""How long a program may take to end once its input has."""

_KILL_GRACE_S = 10.0

_LAST_WORDS_S = 2.0
"""How long the last words of a program that has ended may take to arrive. They are there when the file beside them is;
only where something that it started keeps its stderr open does this run out, for that may be for ever."""

_LAST_WORDS_LOOKS = 50


class Held:
    """What a program has written and nobody has read; takes the place of a command's output."""

    def __init__(self, limit: int = HELD_AT_MOST) -> None:
        self.overrun = False
        self.ended = False
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()

    def add(self, data: bytes) -> None:
        """Take in bytes; nothing is taken after an overrun."""
        if self.ended or not data:
            return
        self._size += len(data)
        if self._size > self._limit:
            self.overrun = True
            self._chunks.clear()
            self.end()
            return
        self._chunks.append(data)
        self._changed.set()

    def end(self) -> None:
        """Nothing more comes."""
        self.ended = True
        self._changed.set()

    async def take(self) -> bytes:
        """What has come since, b"" at the end."""
        while not self._chunks and not self.ended:
            self._changed.clear()
            await self._changed.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return data


class ChannelPipe:
    """Implements `protocol.Pipe` over a channel that the program has to itself."""

    def __init__(self, channel: Channel, held: Held, read: Callable[[str], Awaitable[bytes]], errors: str) -> None:
        """`errors` is the file that its stderr goes to."""
        self._channel = channel
        self._held = held
        self._read = read
        self._errors = errors

    async def write(self, data: bytes) -> None:
        if self._channel.closed:
            raise BrokenPipeError
        self._channel.send(data)
        await self._channel.drain()

    async def read(self) -> bytes:
        return await self._held.take()

    async def said(self) -> str:
        if self._held.overrun:
            return f"it wrote {HELD_AT_MOST // 1_000_000} MB faster than they could be read"
        if self._held.ended:
            await self.last_words()
        return await self._text(self._errors) or ""

    async def last_words(self) -> None:
        """Wait until the stderr of a program that has ended is there, for a moment at most. Raises: SandboxError."""
        for _ in range(_LAST_WORDS_LOOKS):
            if await self._text(f"{self._errors}.whole") is not None:
                return
            await asyncio.sleep(_LAST_WORDS_S / _LAST_WORDS_LOOKS)

    async def _text(self, path: str) -> str | None:
        try:
            return (await self._read(path)).decode(errors="replace").strip()
        except SandboxFileError:
            return None


class Start(Protocol):
    """Sends a program to a channel."""

    def __call__(self, channel: Channel, text: bytes, output: Taker) -> Call: ...


class Talks:
    """Opens pipes to programs in one sandbox; the parameters are that sandbox's own means."""

    def __init__(
        self,
        engine: Engine,
        *,
        connect: Callable[[str], Awaitable[Channel]],
        start: Start,
        drop: Callable[[Channel], Awaitable[None]],
        read: Callable[[str], Awaitable[bytes]],
    ) -> None:
        self._engine = engine
        self._connect = connect
        self._start = start
        self._drop = drop
        self._read = read

    @asynccontextmanager
    async def talk(self, command: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> AsyncIterator[ChannelPipe]:
        """Raises: SandboxError."""
        errors = f"{self._engine.scratch}/said-{secrets.token_hex(6)}"
        program = programs.talk(command, cwd=cwd, env=env, errors=errors)
        channel = await self._connect("exec")
        held = Held()
        try:
            call = self._start(channel, program.encode(errors="surrogateescape"), held)
        except BaseException:
            await to_the_end(self._drop(channel))
            raise
        call.done.add_done_callback(lambda _: held.end())
        pipe = ChannelPipe(channel, held, self._read, errors)
        try:
            yield pipe
        finally:
            held.end()
            await to_the_end(self._end(channel, call, pipe))

    async def _end(self, channel: Channel, call: Call, pipe: ChannelPipe) -> None:
        channel.retire()
        await asyncio.wait({call.done}, timeout=_LEAVE_S)
        if call.done.done():
            # What takes its stderr down is killed with the rest, and may not have got to it yet.
            with contextlib.suppress(SandboxError):
                await pipe.last_words()
        # Also when it has ended: what it left behind ends with it.
        self._engine.kill(call.tag)
        await asyncio.wait({call.done}, timeout=_KILL_GRACE_S)
        await self._drop(channel)
