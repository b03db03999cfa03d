"""The Backend that asks a server for chat completions."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from qcode.backends.openai_compat import discovery, faults, payload
from qcode.backends.openai_compat.chunks import ChunkReader
from qcode.backends.openai_compat.client import (
    ANSWER_LIMIT,
    Patience,
    Timeouts,
    TooMuch,
    bounded,
    checked_url,
    open_client,
    request_options,
    server_root,
)
from qcode.backends.openai_compat.habits import Habits, adapted
from qcode.backends.retry import RetryPolicy, with_retries
from qcode.errors import BackendError, Refused, Unavailable
from qcode.messages import Assistant
from qcode.model import BackendInfo, Delta, Request

if TYPE_CHECKING:
    import openai

QUESTION_S = 30.0
"""Seconds that a question about the server, not to the model, may take."""

TAIL_S = 5.0
"""Seconds that a finished answer waits for its usage."""

_END = object()


class OpenAIBackend:
    """Asks `model` of the server at `base_url`, or its only model when `model` is None.

    Raises: ConfigError for a URL that is none.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._url = checked_url(base_url)
        self._model = model
        self._api_key = api_key
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or RetryPolicy()
        self._habits = Habits()
        self._engine = "openai"
        self._window: int | None = None
        self._counts = True
        self._opened: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    @property
    def info(self) -> BackendInfo:
        """As far as it is known: `discover` finds out the rest."""
        return BackendInfo(self._model or "", self._engine, self._window, {"base_url": self._url})

    def stream(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        """Yield deltas, then one Assistant; failures that may pass are retried with Retrying in between.

        Raises: BackendError.
        """
        return with_retries(lambda: self._answer(request), self._retry)

    async def discover(self) -> BackendInfo:
        """Ask the server for its models and the window. Raises: BackendError."""
        entries = discovery.models_of(await self._ask("get", f"{self._url}/models", absent_is_none=True))
        if self._model is None:
            self._model = discovery.only_model(entries, self._url)
        entry = discovery.entry_of(entries, self._model)
        self._engine = discovery.engine_of(entry)
        props: object = None
        if self._engine == "llama.cpp":
            with suppress(BackendError):
                props = await self._ask("get", f"{server_root(self._url)}/props", absent_is_none=True)
        self._window = discovery.window_of(entry, props)
        return self.info

    async def count_tokens(self, request: Request) -> int | None:
        """The server's own count of the prompt (vLLM, llama.cpp), or None. Raises: BackendError."""
        if not self._counts:
            return None
        root = server_root(self._url)
        chat: dict[str, Any] = {"messages": payload.messages(request)}
        if request.tools:
            chat["tools"] = payload.tools(request)
        asked = chat | {"model": await self._name(), "add_generation_prompt": True}
        try:
            answer = await self._ask("post", f"{root}/tokenize", asked, absent_is_none=True)
            count = discovery.token_count(answer)
            if count is None and answer is not None:
                match await self._ask("post", f"{root}/apply-template", chat, absent_is_none=True):
                    case {"prompt": str(prompt)}:
                        asked = {"content": prompt, "add_special": True, "parse_special": True}
                        count = discovery.token_count(await self._ask("post", f"{root}/tokenize", asked))
        except Refused:
            count = None
        self._counts = count is not None
        return count

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        self._closed = True
        client, self._opened = self._opened, None
        if client is not None:
            await client.close()

    async def _answer(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        patience = Patience()
        fields = self._habits.apply(payload.body(request, await self._name()))
        stream = await self._begin(fields, patience)
        reader = ChunkReader(request, self._url)
        try:
            bounded(stream.response, ANSWER_LIMIT, patience.heard)
            while (chunk := await self._next(stream, reader, patience)) is not _END:
                for delta in reader.read(chunk):
                    yield delta
            for item in reader.finish(stream.response.headers.get("content-type", "")):
                yield item
        finally:
            await stream.close()

    async def _begin(self, wanted: dict[str, Any], patience: Patience) -> "openai.AsyncStream[object]":
        """Send the body, in simpler and simpler forms while the server refuses its form, until an answer begins."""
        client = await self._client()
        # Only now: opening the client is what makes this import cheap.
        from openai import APIStatusError, AsyncStream

        fields = wanted
        while True:
            sending = client.post(
                "/chat/completions",
                content=payload.encoded(fields),
                # Chunks as plain dicts: they are untrusted and checked field by field in any case, and the typed way
                # walks the whole history against its TypedDicts: 20 ms at 50 steps and 71 ms at 200, in place of 3 ms.
                cast_to=object,
                stream=True,
                stream_cls=AsyncStream[object],
                options=request_options(self._api_key),
            )
            try:
                stream = await patience.wait(sending, self._timeouts.first_token_s, self._no_token)
            except APIStatusError as error:
                simpler = adapted(fields, faults.words_of(error.body)) if error.status_code in {400, 422} else None
                if simpler is None:
                    raise self._refusal(error) from error
                fields = simpler
            except BackendError:
                raise
            except Exception as error:
                raise faults.from_connection(error, self._url) from error
            else:
                if fields is not wanted:
                    self._habits.remember(wanted, fields)
                return stream

    async def _next(self, stream: "openai.AsyncStream[object]", reader: ChunkReader, patience: Patience) -> object:
        """The next chunk, or _END."""
        from openai import APIConnectionError, APIError

        if reader.finished:
            # Only the usage is still to come: an answer is not given up for it.
            with suppress(Exception):
                return await patience.wait(anext(stream, _END), min(TAIL_S, self._timeouts.silence_s), TimeoutError)
            return _END
        limit_s, silent = (
            (self._timeouts.silence_s, self._silent) if reader.begun else (self._timeouts.first_token_s, self._no_token)
        )
        try:
            return await patience.wait(anext(stream, _END), limit_s, silent)
        except BackendError:
            raise
        except APIConnectionError as error:
            if reader.begun:
                raise faults.broke_off(self._url, str(error.__cause__ or error)) from error
            raise faults.from_connection(error, self._url) from error
        except APIError as error:
            raise faults.from_stream(error.body, self._url) from error
        except (ValueError, RecursionError) as error:
            raise faults.garbage(self._url, str(error)) from error
        except TooMuch as error:
            raise faults.garbage(self._url, f"more than {ANSWER_LIMIT // 1_000_000} MB") from error
        except Exception as error:
            raise faults.from_connection(error, self._url) from error

    async def _ask(
        self, method: str, url: str, body: dict[str, Any] | None = None, *, absent_is_none: bool = False
    ) -> object:
        """One question outside the conversation; None where the server has no such address and that is no error."""
        client = await self._client()
        from openai import APIStatusError

        options = request_options(self._api_key)
        try:
            async with asyncio.timeout(QUESTION_S):
                if method == "get":
                    return await client.get(url, cast_to=object, options=options)
                content = payload.encoded(body or {})
                return await client.post(url, content=content, cast_to=object, options=options)
        except APIStatusError as error:
            if absent_is_none and error.status_code in {404, 405, 501}:
                return None
            raise self._refusal(error) from error
        except TimeoutError as error:
            raise Unavailable(f"{url} did not answer within {QUESTION_S:g} s: see the server's log") from error
        except Exception as error:
            raise faults.from_connection(error, self._url) from error

    async def _name(self) -> str:
        if self._model is None:
            await self.discover()
        return self._model or ""

    async def _client(self) -> "openai.AsyncOpenAI":
        async with self._opening:
            if self._closed:
                raise Unavailable(f"The backend for {self._url} is closed")
            if self._opened is None:
                connect_s = self._timeouts.connect_s
                self._opened = await open_client(self._url, api_key=self._api_key, connect_s=connect_s)
            return self._opened

    def _refusal(self, error: "openai.APIStatusError") -> BackendError:
        retry_after = error.response.headers.get("retry-after", "")
        return faults.from_status(error.status_code, faults.words_of(error.body), self._url, retry_after=retry_after)

    def _no_token(self) -> BackendError:
        waited = f"{self._timeouts.first_token_s:g} s"
        return Unavailable(f"{self._url} gave no token within {waited}: see the server's log, or allow more time")

    def _silent(self) -> BackendError:
        silent = f"silent in the middle of its answer for {self._timeouts.silence_s:g} s"
        return Unavailable(f"{self._url} went {silent}: see the server's log")
