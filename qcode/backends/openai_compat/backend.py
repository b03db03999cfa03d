"""The Backend that asks a server for chat completions."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from qcode.backends.openai_compat import discovery, faults, payload, thought
from qcode.backends.openai_compat.chunks import ChunkReader
from qcode.backends.openai_compat.client import ANSWER_LIMIT, Patience, Timeouts, TooMuch, bounded
from qcode.backends.openai_compat.connection import Connection
from qcode.backends.openai_compat.constraint import Constraint
from qcode.backends.openai_compat.counters import PrefixCounters
from qcode.backends.openai_compat.discovery import Found
from qcode.backends.openai_compat.foresight import Foresights, cut_short
from qcode.backends.openai_compat.habits import SMALLEST_ANSWER, Habits, adapted
from qcode.backends.openai_compat.servers import Server
from qcode.backends.openai_compat.survey import Needs, Survey
from qcode.backends.retry import RetryPolicy, with_retries
from qcode.backends.speech import Speech
from qcode.deltas import ModelChanged
from qcode.errors import BackendError, ContextOverflow, Refused, Unavailable
from qcode.messages import Assistant
from qcode.model import BackendInfo, Delta, Request

if TYPE_CHECKING:
    import openai

TAIL_S = 5.0
"""Seconds that a finished answer waits for its usage."""

_END = object()


class OpenAIBackend:
    """Asks `model` of the server at `base_url`, or its only model when `model` is None.

    `speech` is how its model writes, for what the server leaves in the text. With `constrain`, a server that can do so
    is asked to hold every tool call to its form; without it, none is. Raises: ConfigError for a URL that is none.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        needs: Needs | None = None,
        constrain: bool = True,
        speech: Speech | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._connection = Connection(base_url, api_key=api_key, timeouts=self._timeouts)
        self._url = self._connection.url
        self._survey = Survey(self._connection, model, needs or Needs())
        self._retry = retry or RetryPolicy()
        self._speech = speech or Speech()
        self._constrain = constrain
        self._learn_anew()

    def _learn_anew(self) -> None:
        """Know nothing of the server's ways."""
        self._habits = Habits()
        self._constraint = Constraint(wanted=self._constrain, dialect=self._speech.dialect)
        self._foresights = Foresights()
        self._counters = PrefixCounters(self._connection)
        self._counts = True

    @property
    def info(self) -> BackendInfo:
        """As far as it is known: `ready` finds out the rest."""
        known = self._survey.known
        server, window = (known.server, known.window) if known else (Server.OTHER, None)
        details = {"base_url": self._url, "constraint": self._constraint.words}
        return BackendInfo(self._survey.model or "", server.value, window, details)

    @property
    def connection(self) -> Connection:
        """The way to the server, for questions beside the conversation."""
        return self._connection

    async def found(self) -> Found:
        """All that the server tells about itself. Raises: BackendError."""
        return await self._survey.found()

    def start(self) -> None:
        """Begin to find out about the server, beside whatever comes first; needs a running event loop."""
        self._survey.start()

    def stream(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        """Yield deltas, then one Assistant; failures that may pass are retried with Retrying in between. A server that
        came back with another model or window is told by ModelChanged, and asked as it is now.

        Raises: BackendError.
        """
        return thought.within_budget(request, lambda asked: with_retries(lambda: self._attempt(asked), self._retry))

    async def ready(self) -> BackendInfo:
        """Ask the server for its models and the window. Raises: BackendError."""
        await self._survey.found()
        return self.info

    async def count_tokens(self, request: Request) -> int | None:
        """The server's own count of the prompt (vLLM, llama.cpp), or None. Raises: BackendError."""
        if not self._counts:
            return None
        root, ask = self._connection.root, self._connection.ask
        chat: dict[str, Any] = {"messages": payload.messages(request)}
        if request.tools:
            chat["tools"] = payload.tools(request)
        chat |= thought.fields(request.sampling.thinking, Server.OTHER)
        asked = chat | {"model": await self._survey.name(), "add_generation_prompt": True}
        try:
            answer = await ask("post", f"{root}/tokenize", asked, absent_is_none=True)
            count = discovery.token_count(answer)
            if count is None and answer is not None:
                match await ask("post", f"{root}/apply-template", chat, absent_is_none=True):
                    case {"prompt": str(prompt)}:
                        asked = {"content": prompt, "add_special": True, "parse_special": True}
                        count = discovery.token_count(await ask("post", f"{root}/tokenize", asked))
        except Refused:
            count = None
        self._counts = count is not None
        return count

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self._survey.aclose()
        await self._connection.aclose()

    async def _attempt(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        changed = await self._changed()
        while True:
            if changed is not None:
                yield changed
            try:
                async with aclosing(self._answer(request)) as stream:
                    async for item in stream:
                        if isinstance(item, Assistant):
                            self._survey.heard()
                        yield item
                return
            except Refused:
                # Such as a model that is not there any more.
                self._survey.doubt()
                if changed is not None or (changed := await self._changed()) is None:
                    raise
            except BackendError:
                self._survey.doubt()
                raise

    async def _changed(self) -> ModelChanged | None:
        """What is different about the server since its last answer. Raises: Refused."""
        before = self.info
        if not await self._survey.changed():
            return None
        self._learn_anew()
        now = self.info
        return ModelChanged(
            model=now.model, before=before.model, engine=now.engine, window=now.context_window, reason="found"
        )

    async def _answer(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        patience = Patience()
        body = payload.body(request, await self._survey.name())
        size = len(payload.encoded(body))
        server = Server(self.info.engine)
        body |= thought.fields(request.sampling.thinking, server)
        if server is Server.VLLM:
            # Of an answer that is stopped it would not tell them otherwise.
            body["stream_options"] = payload.COUNTED_WITH_EACH_CHUNK
        fields = self._habits.apply(self._constraint.applied(body, request, server))
        stream = await self._begin(await self._fitted(request, fields, size), patience, request.session)
        reader = ChunkReader(request, self._url, self._speech)
        try:
            bounded(stream.response, ANSWER_LIMIT, patience.heard)
            while (chunk := await self._next(stream, reader, patience)) is not _END:
                for delta in reader.read(chunk):
                    yield delta
                if request.stopped() and not reader.finished:
                    await stream.close()
                    yield await self._heard(reader.stop(), size, request.session)
                    return
            await self._survey.settle()
            for item in reader.finish(stream.response.headers.get("content-type", "")):
                yield await self._heard(item, size, request.session) if isinstance(item, Assistant) else item
        finally:
            await stream.close()

    async def _fitted(self, request: Request, fields: dict[str, Any], size: int) -> dict[str, Any]:
        """The body with an answer that fits beside the prompt. Raises: ContextOverflow where none does."""
        window = self.info.context_window
        wanted = fields.get("max_tokens")
        if window is None or not isinstance(wanted, int):
            return fields
        foresight = self._foresights.of(request.session)
        tokens = foresight.at_most(size)
        if tokens + SMALLEST_ANSWER > window:
            exact: int | None = None
            with suppress(BackendError):
                exact = await self.count_tokens(request)
            if exact is None and foresight.at_least(size) <= window:
                return fields
            tokens = exact or foresight.at_least(size)
        room = window - tokens
        if room < min(SMALLEST_ANSWER, wanted):
            raise ContextOverflow(
                f"The prompt has {tokens} tokens and leaves too little of the window of {window} at {self._url}"
            )
        return fields | {"max_tokens": min(wanted, room)}

    async def _heard(self, answer: Assistant, size: int, session: str) -> Assistant:
        """The answer with what its prompt's counts tell. Raises: ContextOverflow where the server cut the prompt."""
        info, usage = self.info, answer.usage
        if not self._foresights.of(session).heard(size, usage.prompt_tokens):
            raise ContextOverflow(cut_short(Server(info.engine), info.model, self._url, usage.prompt_tokens))
        if usage.cache_untold and usage.prompt_tokens and info.engine == Server.VLLM:
            cached = await self._counters.cached_of(usage.prompt_tokens)
            if cached is not None:
                usage = usage.model_copy(update={"cached_tokens": cached, "cache_untold": 0})
                return answer.model_copy(update={"usage": usage})
        return answer

    async def _begin(self, wanted: dict[str, Any], patience: Patience, session: str) -> "openai.AsyncStream[object]":
        """Send the body, in simpler and simpler forms while the server refuses its form, until an answer begins."""
        client = await self._connection.client()
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
                options=self._connection.options(session),
            )
            try:
                stream = await patience.wait(sending, self._timeouts.first_token_s, self._no_token)
            except APIStatusError as error:
                simpler = adapted(fields, faults.words_of(error.body)) if error.status_code in {400, 422} else None
                if simpler is None:
                    raise self._connection.refusal(error) from error
                fields = simpler
            except BackendError:
                raise
            except Exception as error:
                raise faults.from_connection(error, self._url) from error
            else:
                self._constraint.answered(wanted, fields)
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

    def _no_token(self) -> BackendError:
        waited = f"{self._timeouts.first_token_s:g} s"
        return Unavailable(f"{self._url} gave no token within {waited}: see the server's log, or allow more time")

    def _silent(self) -> BackendError:
        silent = f"silent in the middle of its answer for {self._timeouts.silence_s:g} s"
        return Unavailable(f"{self._url} went {silent}: see the server's log")
