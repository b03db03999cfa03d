"""The model as an agent in a box sees it: an OpenAI-compatible endpoint in front of the server, which counts.

Three things pass: the list of models, chat completions, and completions. The model's name and what the user set of its
sampling are put in, the key stays outside, and a stream ends with its usage whether the agent asked for it or not.
"""

import asyncio
import json
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h11

from qcode_evals.agents.command.tally import Tally
from qcode_evals.server.inflight import InFlight, Place, Places
from qcode_evals.server.presence import UNWATCHED, Watch

if TYPE_CHECKING:
    import httpx

_BODY_LIMIT = 64_000_000
_BLOCK = 1 << 16
_PASSING = {("GET", "models"), ("POST", "chat/completions"), ("POST", "completions")}
_KEPT_HEADERS = ("content-type", "retry-after")


@dataclass(frozen=True)
class Model:
    """A server's model, and what is put into each request. One object serves all attempts; `room` is how many requests
    are with the server at a time, `watch` is told when one fails."""

    client: "httpx.AsyncClient"
    base_url: str
    name: str
    sampling: dict[str, Any] = field(default_factory=dict)
    room: Places = field(default_factory=lambda: InFlight(64))
    watch: Watch = UNWATCHED


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request of a connection."""

    method: str
    target: str
    body: bytes


class Endpoint:
    """Serves the connections of one attempt."""

    def __init__(self, model: Model, tally: Tally) -> None:
        self._model = model
        self._tally = tally

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what a connection asks, until it ends."""
        connection = h11.Connection(h11.SERVER)
        try:
            while (exchange := await _next(connection, reader, writer)) is not None:
                answer = _Answer(connection, writer, self._model, self._tally)
                if not await _while_there(answer.give(exchange), connection, reader):
                    return
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return  # one side wants to close, or the answer was broken off with the server's
                connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            writer.write(f"HTTP/1.1 {error.error_status_hint} Bad\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()


async def _next(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> _Exchange | None:
    """The next request, whole; None at the end. Raises: RemoteProtocolError."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(await reader.read(_BLOCK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _BODY_LIMIT:
                raise h11.RemoteProtocolError("too large", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return _Exchange(request.method.decode(), request.target.decode("ascii", "replace"), bytes(body))
        else:
            return None


async def _while_there(
    answer: Coroutine[Any, Any, None], connection: h11.Connection, reader: asyncio.StreamReader
) -> bool:
    """Whether the agent waited for all of an answer. One that hangs up before frees the server of it at once, which may
    have a long prompt to read yet."""
    giving = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_left(connection, reader))
    try:
        await asyncio.wait((giving, leaving), return_when=asyncio.FIRST_COMPLETED)
        if giving.done():
            giving.result()
        return giving.done()
    finally:
        giving.cancel()
        leaving.cancel()
        await asyncio.wait((giving, leaving))


async def _left(connection: h11.Connection, reader: asyncio.StreamReader) -> None:
    """Come back when the other side has hung up; what else it sends is for the next request."""
    ahead = 0
    with suppress(OSError):
        while ahead < _BODY_LIMIT:
            if not (data := await reader.read(_BLOCK)):
                return
            ahead += len(data)
            connection.receive_data(data)
        await asyncio.Event().wait()


@dataclass
class _Answer:
    """One answer while it is given."""

    connection: h11.Connection
    writer: asyncio.StreamWriter
    model: Model
    tally: Tally

    async def give(self, exchange: _Exchange) -> None:
        path = exchange.target.partition("?")[0].strip("/").removeprefix("v1/")
        body = _json(exchange.body)
        if (exchange.method, path) not in _PASSING:
            await self._say(404, _error(f"only {', '.join(sorted(name for _, name in _PASSING))} are here"))
        elif path == "models":
            listed = {"id": self.model.name, "object": "model", "created": 0, "owned_by": "qcode"}
            await self._say(200, {"object": "list", "data": [listed]})
        elif not body:
            await self._say(400, _error("the body is not a JSON object"))
        elif not self.tally.admits():
            await self._say(400, _error(f"the attempt's limit is met: {self.tally.limit}"))
        else:
            async with self.model.room.one() as place:
                await self._ask(path, body, place)

    async def _ask(self, path: str, body: dict[str, Any], place: Place) -> None:
        import httpx

        sent = body | self.model.sampling | {"model": self.model.name}
        wants_usage = isinstance(options := body.get("stream_options"), dict) and bool(options.get("include_usage"))
        if body.get("stream") is True:
            sent["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        try:
            async with self.model.client.stream("POST", f"{self.model.base_url}/{path}", json=sent) as response:
                status = response.status_code
                self.tally.failure = ""
                self.tally.broken = f"the model's server answered {status}" if status >= 500 else ""
                if status >= 500:
                    self.model.watch.doubt()
                if status in {429, 503}:
                    place.refused(_seconds(response.headers.get("retry-after", "")))
                if status == 200 and body.get("stream") is True:
                    await self._stream(response, body, place, wants_usage=wants_usage)
                else:
                    await self._whole(response, body, place)
        except httpx.HTTPError as error:
            self.tally.failure = f"the model's server cannot be asked: {error or type(error).__name__}"
            self.tally.broken = self.tally.failure
            self.model.watch.doubt()
            if self.connection.our_state is h11.SEND_RESPONSE:
                await self._say(502, _error(self.tally.failure))
            else:
                self.writer.transport.abort()

    async def _whole(self, response: "httpx.Response", asked: dict[str, Any], place: Place) -> None:
        data = await response.aread()
        if response.status_code == 200:
            answer, seconds = _json(data), time.monotonic() - place.begun
            place.answered(self.tally.add(asked, _said(answer), answer.get("usage"), first_s=0.0, seconds=seconds))
        kept = [(name, value) for name in _KEPT_HEADERS if (value := response.headers.get(name))]
        await self._send(response.status_code, [*kept, ("content-length", str(len(data)))], data)

    async def _stream(
        self, response: "httpx.Response", asked: dict[str, Any], place: Place, *, wants_usage: bool
    ) -> None:
        """Hand on each event as it comes, but not the one that only the counting asked for."""
        head = h11.Response(
            status_code=200, headers=[("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
        )
        self._write(head)
        told: Any = None
        first_s = 0.0
        pieces: list[str] = []
        try:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    chunk = _json(line[5:])
                    if isinstance(chunk.get("usage"), dict):
                        told = chunk["usage"]
                        if not chunk.get("choices") and not wants_usage:
                            continue
                    if text := _text(chunk):
                        first_s = first_s or time.monotonic() - place.begun
                        pieces.append(text)
                self._write(h11.Data(f"{line}\n".encode()))
                await self.writer.drain()
        finally:
            # Also when the agent hangs up: what was written so far was written for it.
            seconds = time.monotonic() - place.begun
            place.answered(self.tally.add(asked, "".join(pieces), told, first_s=first_s, seconds=seconds))
        self._write(h11.EndOfMessage())
        await self.writer.drain()

    async def _say(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        await self._send(status, [("content-type", "application/json"), ("content-length", str(len(data)))], data)

    async def _send(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self._write(h11.Response(status_code=status, headers=headers))
        self._write(h11.Data(data))
        self._write(h11.EndOfMessage())
        await self.writer.drain()

    def _write(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self.writer.write(self.connection.send(event) or b"")


def _error(words: str) -> dict[str, Any]:
    return {"error": {"message": f"qcode: {words}", "type": "invalid_request_error"}}


def _seconds(retry_after: str) -> float | None:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(chunk: dict[str, Any]) -> str:
    """What a chunk adds to the answer."""
    choice = _choice(chunk)
    return _words(choice.get("delta")) or str(choice.get("text") or "")


def _said(answer: dict[str, Any]) -> str:
    """The same of an answer that came whole."""
    choice = _choice(answer)
    return _words(choice.get("message")) or str(choice.get("text") or "")


def _choice(value: dict[str, Any]) -> dict[str, Any]:
    choices = value.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _words(message: Any) -> str:
    """Thinking, text, and (pieces of) calls, as they stand in a message or a delta."""
    if not isinstance(message, dict):
        return ""
    said = [message.get("reasoning_content"), message.get("content")]
    for call in message.get("tool_calls") or []:
        function = call.get("function") if isinstance(call, dict) else None
        said += [function.get("name"), function.get("arguments")] if isinstance(function, dict) else []
    return "".join(piece for piece in said if isinstance(piece, str))
