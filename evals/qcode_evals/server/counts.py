"""What a model's server counts itself: the tokens of all that it was asked, those of broken-off answers too.

An answer that is stopped, or that its client hangs up on, does not say how much of its prompt was cached, and another
agent's not even its length. Sources: vLLM's documentation, Production Metrics (prefix_cache_queries and _hits, in
tokens); llama.cpp, tools/server/README.md (its prompt tokens are those that were not cached).
"""

from dataclasses import dataclass

from qcode.backends.openai_compat.client import is_loopback, server_root
from qcode_evals.server.queues import amount

_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens since the server was started; `cached` is None where it does not tell."""

    read: int
    cached: int | None
    written: int

    def since(self, before: "Counts") -> "Counts | None":
        """What came since; None where the server was started anew meanwhile."""
        read, written = self.read - before.read, self.written - before.written
        cached = None if self.cached is None or before.cached is None else self.cached - before.cached
        if min(read, written, cached or 0) < 0:
            return None
        return Counts(read, cached, written)

    def __str__(self) -> str:
        cached = "" if self.cached is None else f" {self.cached:,} cached,"
        return f"{self.read:,} read,{cached} {self.written:,} written"


async def counts_of(base_url: str, key: str | None) -> Counts | None:
    """What the server at the base URL has counted so far; None where it does not tell."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        url, local = f"{server_root(base_url)}/metrics", is_loopback(base_url)
        async with httpx.AsyncClient(headers=headers, timeout=_LOOK_S, trust_env=not local) as client:
            answer = await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        # What is wrong with an address is said by the agent that is to ask there.
        return None
    return counted(answer.text) if answer.status_code == 200 else None


def counted(text: str) -> Counts | None:
    """The sums over all engines, where the text has them."""
    asked, hits = (amount(text, f"vllm:prefix_cache_{name}_total") for name in ("queries", "hits"))
    made = amount(text, "vllm:generation_tokens_total")
    if asked is not None and hits is not None and made is not None:
        return Counts(asked - hits, hits, made)
    read, made = amount(text, "llamacpp:prompt_tokens_total"), amount(text, "llamacpp:tokens_predicted_total")
    return None if read is None or made is None else Counts(read, None, made)
