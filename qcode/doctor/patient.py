"""What is examined: a server, asked as it is and not through qcode's recoveries, or the in-process engine."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from qcode.backends.openai_compat import OpenAIBackend, faults, payload
from qcode.backends.openai_compat.chunks import ChunkReader
from qcode.backends.openai_compat.counters import PrefixCounters
from qcode.backends.openai_compat.discovery import Found
from qcode.backends.openai_compat.habits import adapted
from qcode.backends.openai_compat.servers import Server
from qcode.errors import BackendError, Unavailable
from qcode.messages import Assistant
from qcode.model import Backend, Request
from qcode.models.card import ModelCard
from qcode.models.registry import recognise

ANSWER_LIMIT_S = 600.0
"""Seconds that one small answer may take; a processor reads slowly."""


@dataclass(slots=True)
class Heard:
    """One answer. Times in seconds since the request was sent; `native` are calls that the server parsed itself, with
    their arguments as it wrote them; `timings` are llama.cpp's, in milliseconds."""

    message: Assistant | None = None
    error: BackendError | None = None
    arrivals: list[float] = field(default_factory=list)
    seconds: float = 0.0
    native: list[dict[str, Any]] = field(default_factory=list)
    raw_text: str = ""
    timings: Mapping[str, Any] = field(default_factory=dict)
    cache_told: bool = False
    """The server said how much of the prompt was cached."""

    @property
    def first_s(self) -> float:
        return self.arrivals[0] if self.arrivals else self.seconds

    @property
    def pace_s(self) -> float:
        """Seconds between two pieces."""
        return (self.arrivals[-1] - self.arrivals[0]) / (len(self.arrivals) - 1) if len(self.arrivals) > 1 else 0.0


class Patient(Protocol):
    """The subject of all checks; `server` and `found` are None for the in-process engine."""

    server: Server | None
    found: Found | None
    card: ModelCard | None
    address: str
    streams: bool
    parses: bool

    async def meet(self) -> Found | None: ...

    async def ask(self, request: Request, *, stream: bool = True, stop_after: int | None = None) -> Heard: ...

    async def count(self, request: Request) -> int | None: ...

    async def get(self, path: str) -> object: ...

    async def post(self, path: str, body: dict[str, Any]) -> object: ...


class EnginePatient:
    """The in-process engine."""

    server: Server | None = None
    found: Found | None = None
    streams = True
    parses = False
    address = "in this process"

    def __init__(self, backend: Backend, card: ModelCard | None) -> None:
        self._backend = backend
        self.card = card

    async def meet(self) -> Found | None:
        """Load the model. Raises: BackendError, ModelFileError."""
        await self._backend.count_tokens(Request("", (), ()))
        return None

    @property
    def window(self) -> int | None:
        return self._backend.info.context_window

    async def ask(self, request: Request, *, stream: bool = True, stop_after: int | None = None) -> Heard:
        """Ask through the backend; `stop_after` closes the stream after so many pieces."""
        heard, sent = Heard(cache_told=True), time.monotonic()
        try:
            async with aclosing(self._backend.stream(request)) as answer:
                async for item in answer:
                    if isinstance(item, Assistant):
                        heard.message = item
                        break
                    if item.event in {"text_delta", "thinking_delta", "tool_call_delta"}:
                        heard.arrivals.append(time.monotonic() - sent)
                    if stop_after is not None and len(heard.arrivals) >= stop_after:
                        break
        except BackendError as error:
            heard.error = error
        heard.seconds = time.monotonic() - sent
        return heard

    async def count(self, request: Request) -> int | None:
        """Exact."""
        return await self._backend.count_tokens(request)

    async def get(self, path: str) -> object:
        """There is no address."""
        return None

    async def post(self, path: str, body: dict[str, Any]) -> object:
        """There is no address."""
        return None


class ServerPatient:
    """A server, asked without retries and without what qcode does to live with its faults."""

    def __init__(self, backend: OpenAIBackend, card: ModelCard | None) -> None:
        self._backend = backend
        self._connection = backend.connection
        self._counters = PrefixCounters(self._connection)
        self.card = card
        self.address = self._connection.url
        self.found: Found | None = None
        self.server: Server | None = Server.OTHER
        self.streams = True
        self.parses = True
        """False where the server is run without a parser of calls, which qcode can live with."""

    async def meet(self) -> Found | None:
        """Find out about it. Raises: BackendError."""
        self.found = await self._backend.found()
        self.server = self.found.server
        self.card = self.card or recognise(self.found.model)
        return self.found

    async def ask(self, request: Request, *, stream: bool = True, stop_after: int | None = None) -> Heard:
        """Send the request and read all of the answer; a failure is part of what was heard."""
        heard = await self._asked(request, stream=stream, stop_after=stop_after)
        if isinstance(heard.error, Unavailable) and not heard.arrivals:
            # A server may close a connection in the moment when it is used again.
            heard = await self._asked(request, stream=stream, stop_after=stop_after)
        return heard

    async def _asked(self, request: Request, *, stream: bool, stop_after: int | None) -> Heard:
        heard, sent = Heard(), time.monotonic()
        try:
            chunks = await self._exchange(request, heard, stream=stream and self.streams, stop_after=stop_after)
            if stop_after is None:
                self._read(request, chunks, heard)
                await self._look_at_counters(heard)
        except BackendError as error:
            heard.error = error
        heard.seconds = time.monotonic() - sent
        return heard

    async def count(self, request: Request) -> int | None:
        """By the server's own tokenizer, None where it does not offer it."""
        with suppress(BackendError):
            return await self._backend.count_tokens(request)
        return None

    async def get(self, path: str) -> object:
        """The JSON or text at an address beside /v1, None where there is none."""
        return await self._question("get", path, None)

    async def post(self, path: str, body: dict[str, Any]) -> object:
        """The JSON at an address beside /v1, None where there is none."""
        return await self._question("post", path, body)

    async def _question(self, method: str, path: str, body: dict[str, Any] | None) -> object:
        with suppress(BackendError):
            return await self._connection.ask(method, self._connection.root + path, body, absent_is_none=True)
        return None

    async def _exchange(
        self, request: Request, heard: Heard, *, stream: bool, stop_after: int | None
    ) -> list[Mapping[str, Any]]:
        client = await self._connection.client()
        from openai import APIStatusError, AsyncStream

        model = self.found.model if self.found else ""
        fields = payload.body(request, model) | ({} if stream else {"stream": False})
        if not stream:
            fields.pop("stream_options", None)
        if not self.parses and "tool_choice" in fields:
            fields["tool_choice"] = "none"
        options, sent = self._connection.options(), time.monotonic()
        while True:
            try:
                if not stream:
                    content = payload.encoded(fields)
                    asked = client.post("/chat/completions", content=content, cast_to=object, options=options)
                    whole = await asyncio.wait_for(asked, ANSWER_LIMIT_S)
                    return [whole] if isinstance(whole, Mapping) else []
                opened = await client.post(
                    "/chat/completions",
                    content=payload.encoded(fields),
                    cast_to=object,
                    stream=True,
                    stream_cls=AsyncStream[object],
                    options=options,
                )
                break
            except APIStatusError as error:
                words = faults.words_of(error.body)
                simpler = adapted(fields, words) if error.status_code in {400, 422} else None
                if simpler is None:
                    raise self._connection.refusal(error) from error
                if simpler.get("tool_choice") == "none":
                    self.parses = False
                fields = simpler
            except Exception as error:
                raise faults.from_connection(error, self.address) from error
        chunks: list[Mapping[str, Any]] = []
        kind = opened.response.headers.get("content-type", "")
        try:
            async for chunk in opened:
                if isinstance(chunk, Mapping):
                    chunks.append(chunk)
                    if _has_token(chunk):
                        heard.arrivals.append(time.monotonic() - sent)
                    if stop_after is not None and len(heard.arrivals) >= stop_after:
                        return chunks
        except Exception as error:
            raise faults.from_connection(error, self.address) from error
        finally:
            await opened.close()
        if not chunks:
            raise faults.no_stream(self.address, kind)
        return chunks

    async def _look_at_counters(self, heard: Heard) -> None:
        """vLLM counts what was cached also where its answers do not tell."""
        if self.server is not Server.VLLM or heard.cache_told or heard.message is None:
            return
        usage = heard.message.usage
        cached = await self._counters.cached_of(usage.prompt_tokens)
        if cached is not None:
            heard.message = heard.message.model_copy(
                update={"usage": usage.model_copy(update={"cached_tokens": cached, "cache_untold": 0})}
            )
            heard.cache_told = True

    def _read(self, request: Request, chunks: list[Mapping[str, Any]], heard: Heard) -> None:
        reader = ChunkReader(request, self.address)
        for chunk in chunks:
            _note(chunk, heard)
            for _ in reader.read(chunk):
                pass
        for item in reader.finish("text/event-stream"):
            if isinstance(item, Assistant):
                heard.message = item


def _delta(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    delta = (choice.get("delta") or choice.get("message")) if isinstance(choice, Mapping) else None
    return delta if isinstance(delta, Mapping) else {}


def _has_token(chunk: Mapping[str, Any]) -> bool:
    delta = _delta(chunk)
    return any(delta.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls"))


def _note(chunk: Mapping[str, Any], heard: Heard) -> None:
    delta = _delta(chunk)
    if isinstance(text := delta.get("content"), str):
        heard.raw_text += text
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            continue
        if function.get("name"):
            heard.native.append({"name": function["name"], "arguments": ""})
        if heard.native and isinstance(arguments := function.get("arguments"), str):
            heard.native[-1]["arguments"] += arguments
    if isinstance(timings := chunk.get("timings"), Mapping):
        heard.timings = timings
    usage = chunk.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, Mapping) else None
    told = isinstance(details, Mapping) and details.get("cached_tokens") is not None
    heard.cache_told = heard.cache_told or told or "cache_n" in heard.timings


def patient_of(backend: Backend, card: ModelCard | None) -> Patient:
    """Whatever the backend is. Raises: Unavailable for one that runs no model."""
    if isinstance(backend, OpenAIBackend):
        return ServerPatient(backend, card)
    if backend.info.engine == "scripted":
        raise Unavailable("a scripted model has nothing to examine: give --model or --base-url")
    return EnginePatient(backend, card)
