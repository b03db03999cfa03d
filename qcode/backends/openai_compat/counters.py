"""How much of a prompt vLLM had cached, from its counters, where its answers do not tell.

The counters are the server's, of all its clients: their growth since the last look is taken for this answer's only
where it accounts for exactly this prompt. Source: vLLM's documentation, Production Metrics (prefix_cache_queries and
prefix_cache_hits, in tokens); with --enable-prompt-tokens-details the answers tell it themselves.
"""

import asyncio
import re
from contextlib import suppress

from qcode.backends.openai_compat.connection import Connection
from qcode.errors import BackendError

LOOK_S = 1.0
"""Seconds that a look may take."""


class PrefixCounters:
    """Looked at after each answer; the first look only says where the counters stand."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last: tuple[int, int] | None = None
        self._there = True

    async def cached_of(self, prompt_tokens: int) -> int | None:
        """Cached tokens of the prompt that was just answered, None where the counters do not say."""
        if not self._there:
            return None
        now = await self._look()
        before, self._last = self._last, now
        self._there = now is not None
        if now is None or before is None or now[0] - before[0] != prompt_tokens:
            return None
        return min(prompt_tokens, now[1] - before[1])

    async def _look(self) -> tuple[int, int] | None:
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                text = await self._connection.ask("get", f"{self._connection.root}/metrics", absent_is_none=True)
            if isinstance(text, str):
                asked, found = _total(text, "queries"), _total(text, "hits")
                return None if asked is None or found is None else (asked, found)
        return None


def _total(text: str, kind: str) -> int | None:
    values = re.findall(rf"^vllm:prefix_cache_{kind}_total(?:{{[^}}\n]*}})?\s+([0-9.e+]+)\s*$", text, re.MULTILINE)
    return round(sum(map(float, values))) if values else None
