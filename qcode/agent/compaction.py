"""Making room: when the prompt fills the window, the conversation is shortened, and its new size is checked.

This is the one moment at which the prompt does not only grow at its end, and it costs reading what is left once more.
So it is done seldom and thoroughly: at a set share of the window, to at most MOST of it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources

from qcode.agent.inwords import in_words
from qcode.agent.shorter import Changes, size, summarised, tail, unknown, without_results
from qcode.deltas import EngineRestarted, ModelChanged, PrefillProgress, Retrying
from qcode.errors import ContextOverflow
from qcode.events import Compacted, CompactionCause, Event, Notice
from qcode.messages import Assistant, Message, Usage
from qcode.model import Backend, Delta, Request

MOST = 0.6
"""Share of the trigger that may be left: what shrinks less would be back there after a few steps."""

TAIL = 0.25
"""Share of the window, or of a prompt that fills less of it, that the last steps may take, word for word."""

CHARACTERS_A_TOKEN = 3.5
"""Of code, for how much of the end is kept; sizes are counted by the tokenizer where there is one."""

SUMMARY_TOKENS = 2048
SUMMARY_SHARE = 16
"""A summary takes at most this part of the window: a 16th."""
MESSAGE_TOKENS = 64
"""What the template puts around one message, at most."""

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class _Size:
    tokens: int
    exact: bool


class Compaction:
    """Knows how full the window is. `share` of it is the trigger; None: only on request or on overflow. `changes` says
    which calls change files."""

    def __init__(self, backend: Backend, *, share: float | None = 0.8, changes: Changes) -> None:
        self.share = share
        self._backend = backend
        self._changes = changes
        self._settled = 0
        self._too_big = 0
        self._uncounted = 0

    def forget_counts(self, messages: int) -> None:
        """What was counted of the first so many messages was of other prompts: another model, or other tools."""
        self._uncounted = messages

    async def due(self, request: Request) -> bool:
        """Whether the prompt has reached the trigger. Counting is left out while it surely has not.

        Raises: BackendError.
        """
        window, history = self._backend.info.context_window, request.history
        if self.share is None or window is None or len(history) == self._settled:
            return False
        trigger = max(int(window * self.share), self._too_big)
        known, rest = self._last_count(history)
        # No token is shorter than a byte, and no character longer than four.
        if known is not None and known + sum(4 * size(m) + MESSAGE_TOKENS for m in rest) < trigger:
            return False
        return (await self._size(request)).tokens >= trigger

    async def shorten(
        self, request: Request, emit: Emit, *, cause: CompactionCause, focus: str = "", window: int | None = None
    ) -> Compacted | None:
        """The event with the shorter history, already emitted; None if it would not shrink
        enough, which is told, or if the model has not said anything yet. `window` is the one that it shall fit,
        None for the model's own.

        Raises: BackendError, when the model that is asked for a summary fails.
        """
        started = time.monotonic()
        history = request.history
        if not any(isinstance(m, Assistant) for m in history):
            return None
        if len(history) == self._settled:
            emit(Notice(text="the conversation is as short as it can be: nothing has happened since"))
            return None
        own = self._backend.info.context_window
        window = window or own
        before = await self._size(request)
        most = int(before.tokens * MOST) if window is None else int(window * (self.share or 0.8) * MOST)
        most = min(most, int(before.tokens * 0.9))
        room = int(min(window or before.tokens, before.tokens) * TAIL * CHARACTERS_A_TOKEN)
        start = tail(history, room)
        stubbed = unknown(without_results(history, start))
        usage = Usage()
        after, shorter, how = await self._size(replace(request, history=stubbed)), stubbed, "results"
        if cause is CompactionCause.ASKED or after.tokens > most:
            fits = own is None or before.tokens + SUMMARY_TOKENS + 512 < own
            asked = history if fits and cause is not CompactionCause.OVERFLOW else stubbed
            told = await self._summary(replace(request, history=asked), emit, focus=focus, window=window)
            usage = told.usage
            if told.text.strip():
                shorter, how = summarised(history, start, told.text.strip(), changes=self._changes), "summary"
                after = await self._size(replace(request, history=shorter))
        allowed = most if cause is not CompactionCause.ASKED else int(before.tokens * 0.9)
        if after.tokens > allowed and how == "results":
            # Without a summary, for it was not written or what it is to be of does not fit either.
            shorter, how = summarised(history, start, "", changes=self._changes), "cut"
            after = await self._size(replace(request, history=shorter))
        if after.tokens > allowed:
            self._settled, self._too_big = len(history), int(before.tokens * 1.15)
            left = f"of {before.tokens:,} tokens {after.tokens:,} would be left"
            emit(Notice(text=f"the conversation was not shortened: {left}"))
            return None
        done = Compacted(
            history=shorter,
            cause=cause,
            how=how,
            before=before.tokens,
            after=after.tokens,
            exact=before.exact and after.exact,
            usage=usage,
            seconds=round(time.monotonic() - started, 3),
        )
        self._settled, self._too_big = len(shorter), 0
        emit(done)
        return done

    async def _summary(self, request: Request, emit: Emit, *, focus: str, window: int | None) -> Assistant:
        """What the model writes about its own conversation: the prompt goes on where it was, so nothing of it is read
        again. Empty if it wrote nothing, or cannot read so much."""
        words = resources.files("qcode.agent").joinpath("prompts", "compact.md").read_text(encoding="utf-8").strip()
        if focus:
            words += f"\n\nThe user asks to keep above all: {focus}"
        room = SUMMARY_TOKENS if window is None else min(SUMMARY_TOKENS, window // SUMMARY_SHARE)

        def see(delta: Delta) -> None:
            if isinstance(delta, PrefillProgress | Retrying | EngineRestarted | ModelChanged):
                emit(delta)

        with suppress(ContextOverflow):
            return await in_words(self._backend, request, words, max_tokens=room, see=see)
        return Assistant()

    def _last_count(self, history: Sequence[Message]) -> tuple[int | None, Sequence[Message]]:
        """How long the prompt was up to the last answer that knows it, that answer included; and what came after it."""
        self._uncounted = min(self._uncounted, len(history))
        for index in range(len(history) - 1, self._uncounted - 1, -1):
            message = history[index]
            if isinstance(message, Assistant) and message.usage.prompt_tokens:
                usage = message.usage
                return usage.prompt_tokens + usage.completion_tokens, history[index + 1 :]
        return None, history

    async def _size(self, request: Request) -> _Size:
        counted = await self._backend.count_tokens(request)
        if counted is not None:
            return _Size(counted, True)
        known, rest = self._last_count(request.history)
        if known is not None:
            return _Size(known + sum(size(m) for m in rest) // 4, False)
        from qcode.codec import render

        return _Size(len(render(request.system, request.history, request.tools)) // 4, False)
