"""Reads the chunks of one streamed chat completion; every field of them is untrusted.

Calls come parsed (`delta.tool_calls`, their arguments as JSON in pieces, or as an object) or as text in
`delta.content`; the text always goes through the codec, so a server may do either, or both in one answer. A parsed call
is judged when the answer ends: one that cannot be understood becomes a problem for the model and leaves no trace in the
history. Before that each of its arguments is told as soon as it is complete.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from qcode.backends.answer import Answer
from qcode.backends.openai_compat import faults
from qcode.backends.openai_compat.arguments import BadArguments, as_declared, decoded
from qcode.backends.speech import Speech
from qcode.codec import ParsedCall
from qcode.codec.loosejson import characters
from qcode.codec.members import Members, Strings
from qcode.codec.schema import functions
from qcode.deltas import PrefillProgress, ToolCallDelta
from qcode.errors import Refused, Unavailable
from qcode.messages import Assistant, Stop, Usage
from qcode.model import Delta, Request

_OPENER = "<tool_call>"
_MOST_HELD = 64
_BEGUN = "|".join(_OPENER[:length] for length in range(len(_OPENER) - 1, 0, -1))
_ENDS_IN_OPENER = re.compile(rf"(?:{_OPENER}\s*)*(?:{_OPENER}\s*|{_BEGUN})\Z")


@dataclass(slots=True)
class _Call:
    """A call that the server parsed, as far as it came; `place` is its index among all calls of the answer."""

    place: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    members: Members = field(default_factory=Members)
    strings: Strings = field(default_factory=Strings)
    whole: dict[str, Any] | None = None

    @property
    def arguments(self) -> str | dict[str, Any]:
        return "".join(self.pieces) if self.whole is None else self.whole

    @property
    def complete(self) -> bool:
        return self.whole is not None or self.members.closed


class ChunkReader:
    """Feed it every chunk with `read`; `finish` gives the Assistant at the end."""

    def __init__(self, request: Request, url: str, speech: Speech | None = None) -> None:
        self._answer = Answer(request, speech or Speech())
        self._functions = functions(request.tools)
        self._url = url
        self._calls: dict[object, _Call] = {}
        self._finish: str | None = None
        self._half = ""
        self._held = ""
        self._usage = Usage(requests=1)
        self._written = 0
        self.begun = False
        """A token has come."""
        self.heard_any = False

    @property
    def finished(self) -> bool:
        """The model has stopped; usage may still come."""
        return self._finish is not None

    def read(self, chunk: object) -> Iterator[Delta]:
        """The deltas in one chunk. Raises: BackendError."""
        self.heard_any = True
        if not isinstance(chunk, Mapping):
            raise faults.garbage(self._url, f"a chunk that is no object: {str(chunk)[:100]}")
        self._read_usage(chunk)
        if isinstance(progress := chunk.get("prompt_progress"), Mapping):
            at = PrefillProgress(
                processed=_count(progress.get("processed")),
                total=_count(progress.get("total")),
                cached=_count(progress.get("cache")),
            )
            # Until the server tells its usage, which it does not of an answer that is stopped.
            self._usage = Usage(prompt_tokens=at.total, cached_tokens=at.cached, requests=1)
            yield at
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping):
            return
        # A server that ignores "stream" puts the whole message where a delta belongs.
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, Mapping):
            self._written += 1
            yield from self._read_delta(delta)
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self._finish = reason

    def finish(self, content_type: str) -> Iterator[Delta | Assistant]:
        """The last deltas, then the answer. Raises: BackendError where it is not a complete one."""
        match self._finish:
            case None if not self.heard_any:
                raise faults.no_stream(self._url, content_type)
            case None:
                raise faults.broke_off(self._url, "the stream ended without a finish_reason")
            case "content_filter":
                raise Refused(f"{self._url}: the server's content filter stopped the answer")
            case "abort" | "cancelled" | "error":
                raise Unavailable(f"{self._url} gave up the answer ({self._finish}): see the server's log")
            case "length":
                stop = Stop.LENGTH
            case _:
                stop = Stop.END
        if rest := self._held + self._half:
            yield from self._answer.text(characters(rest))
        for call in self._calls.values():
            self._judge(call)
        yield from self._answer.finish(stop=stop, usage=self._usage)

    def stop(self) -> Assistant:
        """The answer as far as it came, for one that is stopped. Where the server has not told its usage by then, the
        tokens written are those that came: servers send about one in a chunk."""
        for _ in self._answer.text(characters(self._held)):
            pass
        last = next(reversed(self._calls.values()), None)
        for call in self._calls.values():
            if call is not last or call.complete:
                self._judge(call)
        usage = self._usage
        return self._answer.stop(
            usage=usage.model_copy(update={"completion_tokens": max(usage.completion_tokens, self._written)})
        )

    def _read_delta(self, delta: Mapping[str, Any]) -> Iterator[Delta]:
        for name in ("reasoning_content", "reasoning"):
            if isinstance(thinking := delta.get(name), str) and thinking:
                self.begun = True
                yield from self._answer.thinking(characters(thinking))
                break
        if text := _text(delta.get("content")):
            self.begun = True
            # An emoji may come as two halves of a surrogate pair in two chunks.
            text, self._half = _split_half(self._half + text)
            text, self._held = _split_opener(self._held + text)
            yield from self._answer.text(characters(text))
        calls = delta.get("tool_calls")
        for position, part in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(part, Mapping):
                self.begun = True
                yield from self._read_call(part, position)

    def _read_call(self, part: Mapping[str, Any], position: int) -> Iterator[Delta]:
        key = part.get("index")
        key = key if isinstance(key, int) else position
        call_id = part.get("id")
        call = self._calls.get(key)
        # Some servers number every call 0 and tell them apart by id alone.
        if call is not None and isinstance(call_id, str) and call_id and call.id and call_id != call.id:
            key = (key, call_id)
            call = self._calls.get(key)
        if call is None:
            # vLLM knows the opening tag by its token: where a model spells it in others, it comes as text besides.
            if self._held.startswith(_OPENER):
                self._held = ""
            call = self._calls[key] = _Call(self._answer.place())
        if isinstance(call_id, str) and call_id:
            call.id = call_id
        function = part.get("function")
        if not isinstance(function, Mapping):
            return
        if isinstance(name := function.get("name"), str) and name and not call.name:
            call.name = characters(name)
            yield from self._answer.begin(call.place, call.name, id=call.id)
        match function.get("arguments"):
            case str(piece) if piece:
                call.pieces.append(piece)
                texts = list(call.strings.feed(piece))
                for name, text in texts:
                    yield ToolCallDelta(index=call.place, argument=name, text=text)
                if not texts:
                    yield ToolCallDelta(index=call.place, text=characters(piece))
                for member in call.members.feed(piece):
                    yield from self._read_arguments(call, f"{{{member}}}")
            case dict(whole):
                call.whole = whole
                yield from self._read_arguments(call, whole)

    def _read_arguments(self, call: _Call, complete: str | dict[str, Any]) -> Iterator[Delta]:
        with suppress(BadArguments):  # The whole is judged at the end.
            for name, value in self._decoded(call.name.strip(), complete).items():
                yield from self._answer.argument(call.place, name, value)

    def _judge(self, call: _Call) -> None:
        name = call.name.strip()
        if not name:
            self._answer.problem("A tool call without a name was not run: write the whole call again.")
            return
        try:
            arguments = self._decoded(name, call.arguments)
        except BadArguments as error:
            cause = "the answer was cut at its length limit" if self._finish == "length" else str(error)
            self._answer.problem(
                f"The arguments of {faults.one_line(name, 80)} cannot be used: {cause}. Write the call again."
            )
            return
        self._answer.call(call.place, ParsedCall(name, arguments), id=call.id)

    def _decoded(self, name: str, arguments: str | dict[str, Any]) -> dict[str, Any]:
        given = decoded(arguments)
        function = self._functions.get(name)
        return as_declared(given, function) if function else given

    def _read_usage(self, chunk: Mapping[str, Any]) -> None:
        usage = chunk.get("usage")
        timings = chunk.get("timings")
        if not isinstance(usage, Mapping):
            return
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
        if cached is None and isinstance(timings, Mapping):
            cached = timings.get("cache_n")
        if cached is None:
            cached = usage.get("prompt_cache_hit_tokens")
        self._usage = Usage(
            prompt_tokens=_count(usage.get("prompt_tokens")),
            cached_tokens=_count(cached),
            completion_tokens=_count(usage.get("completion_tokens")),
            requests=1,
            cache_untold=int(cached is None and _count(usage.get("prompt_tokens")) > 0),
        )


def _text(content: object) -> str:
    """Content as text; some servers send it in parts."""
    match content:
        case str():
            return content
        case list():
            parts = (part.get("text") for part in content if isinstance(part, Mapping))
            return "".join(part for part in parts if isinstance(part, str))
        case _:
            return ""


def _split_half(text: str) -> tuple[str, str]:
    """The text without, and the first half of a surrogate pair at its end."""
    return (text[:-1], text[-1]) if "\ud800" <= text[-1:] <= "\udbff" else (text, "")


def _split_opener(text: str) -> tuple[str, str]:
    """The text without, and what may be a call's opening tag at its end, or the beginning of one."""
    last = max(len(text) - _MOST_HELD, 0)
    found = _ENDS_IN_OPENER.search(text, last)
    return (text, "") if found is None else (text[: found.start()], text[found.start() :])


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
