"""What a command has put out: its head and its tail, and a stream of text for those who watch."""

import codecs
from collections import deque
from collections.abc import Callable


class Output:
    """Takes bytes as they come and keeps at most `limit` of them, half from the start and half from the end."""

    def __init__(self, limit: int, on_output: Callable[[str], None] | None = None) -> None:
        self._head = bytearray()
        self._head_limit = limit - limit // 2
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._tail_limit = limit // 2
        self._seen = 0
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if on_output else None

    @property
    def truncated(self) -> bool:
        return self._seen > self._head_limit + self._tail_limit

    @property
    def ends_in_line(self) -> bool:
        last = self._tail[-1] if self._tail else self._head
        return bool(last) and not last.endswith(b"\n")

    def add(self, data: bytes) -> None:
        if not data:
            return
        self._seen += len(data)
        if self._decoder and self._on_output and (text := self._decoder.decode(data)):
            self._on_output(text)
        if (room := self._head_limit - len(self._head)) > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data)
            self._tail_size += len(data)
            while self._tail_size - len(self._tail[0]) >= self._tail_limit:
                self._tail_size -= len(self._tail.popleft())

    def raw(self) -> bytes:
        """All bytes. Only meaningful when nothing was truncated."""
        return bytes(self._head) + b"".join(self._tail)

    def text(self) -> str:
        if not self.truncated:
            return self.raw().decode(errors="replace")
        tail = b"".join(self._tail)[-self._tail_limit :]
        # A character that was cut in two at the edges would show as a replacement sign.
        head_text = codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self._head))
        start = next((i for i, byte in enumerate(tail[:4]) if byte & 0xC0 != 0x80), 0)
        left_out = self._seen - len(self._head) - len(tail)
        return f"{head_text}\n[{left_out} bytes left out]\n{tail[start:].decode(errors='replace')}"
