"""What a server tells of its queue, at /metrics.

Sources: vLLM's documentation, Production Metrics (gauges, one line for each engine); llama.cpp, tools/server/README.md
(with --metrics).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qcode.backends.openai_compat.client import is_loopback, server_root

if TYPE_CHECKING:
    import httpx

_LOOK_S = 5.0
_GAUGES = (
    ("vllm:num_requests_running", "vllm:num_requests_waiting"),
    ("llamacpp:requests_processing", "llamacpp:requests_deferred"),
)


@dataclass
class Queue:
    """Of the server at the URL that `base_url` gives, "" as long as it is not known. `told` is False once it is certain
    that the server says nothing."""

    base_url: Callable[[], str]
    key: str | None = None
    told: bool = True
    _client: "httpx.AsyncClient | None" = field(default=None, init=False)

    async def look(self) -> tuple[int, int] | None:
        """Requests that are worked on, and that wait; None where that is not known now."""
        import httpx

        if not (url := self.base_url()):
            return None
        if self._client is None:
            headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
            self._client = httpx.AsyncClient(headers=headers, timeout=_LOOK_S, trust_env=not is_loopback(url))
        try:
            answer = await self._client.get(f"{server_root(url)}/metrics")
        except httpx.HTTPError:
            return None
        found = gauges(answer.text) if answer.status_code == 200 else None
        # A server that has trouble of its own may still tell later.
        self.told = found is not None or answer.status_code >= 500
        return found

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()


def gauges(text: str) -> tuple[int, int] | None:
    """Running and waiting requests of all engines, where the text has both."""
    for names in _GAUGES:
        running, waiting = (amount(text, name) for name in names)
        if running is not None and waiting is not None:
            return running, waiting
    return None


def amount(text: str, name: str) -> int | None:
    """The sum of a metric over all engines, where the text has it."""
    values = re.findall(rf"^{re.escape(name)}(?:{{[^}}\n]*}})?[ \t]+([0-9.eE+]+)[ \t]*$", text, re.MULTILINE)
    try:
        return round(sum(map(float, values))) if values else None
    except (ValueError, OverflowError):
        return None
