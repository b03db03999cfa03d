"""An OpenAI-compatible server that answers at once, and notes when each request came."""

import asyncio
import json
import time
from dataclasses import dataclass, field


@dataclass
class InstantServer:
    """Answers `steps` times with a call of the bash tool (`echo hi`, each with its number), then with a last word.

    `arrivals` and `answered` are times of time.monotonic, one a request."""

    steps: int
    arrivals: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first request has come."""
    url: str = ""

    async def __aenter__(self) -> "InstantServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(length)
                if b"/chat/completions" in head.split(b"\r\n")[0]:
                    self.arrivals.append(time.monotonic())
                    self.asked.set()
                    self.bodies.append(body)
                    writer.write(self._answer(len(self.arrivals)))
                    await writer.drain()
                    self.answered.append(time.monotonic())
                else:
                    writer.write(
                        _response(b'{"object":"list","data":[{"id":"bench","object":"model"}]}', "application/json")
                    )
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, number: int) -> bytes:
        delta: dict[str, object] = {"role": "assistant", "content": "Done."}
        reason = "stop"
        if number <= self.steps:
            arguments = json.dumps({"command": f"echo hi {number}"})
            call = {"index": 0, "id": f"c{number}", "type": "function"}
            delta = {
                "role": "assistant",
                "tool_calls": [{**call, "function": {"name": "bash", "arguments": arguments}}],
            }
            reason = "tool_calls"
        base = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "bench"}
        chunks = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {**base, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
        ]
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        return _response(text.encode(), "text/event-stream")


def _response(body: bytes, kind: str) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: " + kind.encode() + b"\r\nContent-Length: " + str(len(body)).encode()
        + b"\r\n\r\n" + body
    )  # fmt: skip
