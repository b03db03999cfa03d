"""How fast the model reads and writes, from the events of its answers."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW_S = 3.0
_SHORTEST_S = 0.5
"""Guessed tokens come many at once: a shorter while says nothing of the speed."""

_PIECES = 512


@dataclass(frozen=True, slots=True)
class Prefill:
    """How far the prompt is read. `left_s` is None until a speed is measured."""

    processed: int
    total: int
    cached: int
    speed: float | None
    left_s: float | None


class Meter:
    """Speeds in tokens per second; `written` counts pieces, which a local engine sends token by token."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.prefill: Prefill | None = None
        self.reading_speed: float | None = None
        self.writing_speed: float | None = None
        self._read_since: tuple[float, int] | None = None
        self._pieces: deque[float] = deque(maxlen=_PIECES)
        self._asked = 0.0

    def asked(self) -> None:
        """A request is sent."""
        self._asked = self._clock()
        self._read_since, self.prefill = None, None
        self._pieces.clear()

    @property
    def waiting_s(self) -> float:
        """Since the request was sent."""
        return self._clock() - self._asked

    def read(self, processed: int, total: int, cached: int) -> None:
        """The engine has read this much. The speed of earlier prompts serves until this one's is known."""
        now = self._clock()
        if self._read_since is None or processed <= cached:
            self._read_since = (now, processed)
        since, first = self._read_since
        if now > since and processed > first:
            self.reading_speed = (processed - first) / (now - since)
        left = (total - processed) / self.reading_speed if self.reading_speed else None
        self.prefill = Prefill(processed, total, cached, self.reading_speed, left) if processed < total else None

    def wrote(self) -> None:
        """One more piece of the answer."""
        now = self._clock()
        self.prefill = None
        self._pieces.append(now)
        # The last piece before the window stays: what comes after a pause took the pause too.
        while len(self._pieces) > 2 and now - self._pieces[1] > _WINDOW_S:
            self._pieces.popleft()
        if (taken := now - self._pieces[0]) >= _SHORTEST_S:
            self.writing_speed = (len(self._pieces) - 1) / taken

    def answered(self, tokens: int, seconds: float, first_token_s: float | None) -> None:
        """The answer is complete: what it took is known exactly."""
        self.prefill = None
        writing = seconds - (first_token_s or 0.0)
        if tokens > 1 and writing > 0.01:
            self.writing_speed = tokens / writing
