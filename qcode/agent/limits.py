"""Limits of one turn. Reaching one is a normal ending, not an error."""

import time
from dataclasses import dataclass

from qcode.events import Reason
from qcode.messages import Usage


@dataclass(frozen=True, slots=True)
class Limits:
    """None means no limit. `max_tokens` counts what the model had to work for: prompt tokens that were not cached, and
    tokens that it wrote."""

    max_turns: int | None = 100
    max_tokens: int | None = None
    max_seconds: float | None = None


class Budget:
    """What is left of the limits while a turn runs. Time is monotonic."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.started = time.monotonic()
        self.usage = Usage()
        self.steps = 0

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def deadline_s(self) -> float | None:
        """Seconds that are left, None without a limit."""
        limit = self.limits.max_seconds
        return None if limit is None else max(limit - self.elapsed_s, 0.0)

    @property
    def tokens_left(self) -> int | None:
        limit = self.limits.max_tokens
        usage = self.usage
        return None if limit is None else limit - (usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens)

    def reached(self) -> Reason | None:
        """The limit that forbids another step, if any."""
        left = self.tokens_left
        if left is not None and left <= 0:
            return Reason.MAX_TOKENS
        if self.limits.max_turns is not None and self.steps >= self.limits.max_turns:
            return Reason.MAX_TURNS
        if self.deadline_s == 0.0:
            return Reason.MAX_SECONDS
        return None
