"""What passed between an agent and its model, counted where it passed."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcode.messages import Usage


@dataclass
class Tally:
    """Tokens and seconds of one attempt, and its limits. `over` is set when one is met, with its name in `limit`;
    `failure` is why the last request never reached the model, "" when it did; `broken` is the same, and also what the
    server failed with by itself."""

    log: Path | None = None
    max_turns: int | None = None
    max_tokens: int | None = None
    usage: Usage = field(default_factory=Usage)
    prefill_s: float = 0.0
    decode_s: float = 0.0
    limit: str = ""
    failure: str = ""
    broken: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _begun: int = 0
    _before: list[Any] = field(default_factory=list)

    def admits(self) -> bool:
        """Whether one more request may go through; counts it if so, else the attempt is over."""
        if self.max_turns is not None and self._begun >= self.max_turns:
            self.limit = "max_turns"
        elif self.max_tokens is not None and self._spent() >= self.max_tokens:
            self.limit = "max_tokens"
        if self.limit:
            self.over.set()
            return False
        self._begun += 1
        return True

    def add(self, asked: dict[str, Any], answer: str, told: Any, *, first_s: float, seconds: float) -> Usage:
        """One answer: what was asked, the text that came, the server's word on its usage, which is given back."""
        usage = usage_of(told)
        self.usage += usage
        self.prefill_s += min(first_s, seconds)
        self.decode_s += max(0.0, seconds - first_s)
        if self.log is not None:
            kept, messages = self._new(asked.get("messages"))
            line = {
                "at": round(time.time(), 3), "seconds": round(seconds, 3), "kept": kept, "messages": messages,
                "answer": answer, "usage": usage.model_dump(exclude_defaults=True),
            }  # fmt: skip
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return usage

    def _new(self, messages: Any) -> tuple[int, list[Any]]:
        """How many messages stand as in the request before, and those after them: a log of whole requests would grow
        with the square of their number."""
        given = messages if isinstance(messages, list) else []
        pairs = zip(self._before, given, strict=False)
        kept = next((place for place, (old, new) in enumerate(pairs) if old != new), min(len(self._before), len(given)))
        self._before = given
        return kept, given[kept:]

    def _spent(self) -> int:
        return self.usage.prompt_tokens - self.usage.cached_tokens + self.usage.completion_tokens


def usage_of(told: Any) -> Usage:
    """A chat completion's `usage`; what is not told counts as 0."""
    if not isinstance(told, dict):
        return Usage(requests=1, cache_untold=1)
    details = told.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(
        prompt_tokens=_count(told.get("prompt_tokens")),
        cached_tokens=_count(cached),
        completion_tokens=_count(told.get("completion_tokens")),
        requests=1,
        cache_untold=0 if isinstance(cached, int) else 1,
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
