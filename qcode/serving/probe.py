"""Whether a server answers: one token of a real answer, not an open port. And whether it still does anything."""

import http.client
import json
import re
from typing import Any

_QUESTION = "Say yes."
_ANSWER_LIMIT = 1_000_000
_COUNTERS = re.compile(
    rb"^(?:vllm|sglang|llamacpp):[a-z_]*tokens[a-z_]*_total(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE
)


def answers(port: int, model: str, *, timeout_s: float) -> bool:
    """True when the model has written one token."""
    body = {"model": model, "messages": [{"role": "user", "content": _QUESTION}], "max_tokens": 1, "temperature": 0}
    found = _ask(port, "POST", "/v1/chat/completions", timeout_s, json.dumps(body))
    try:
        answer: Any = json.loads(found or b"null")
    except (ValueError, RecursionError):
        return False
    match answer:
        case {"choices": [{**choice}, *_]}:
            return choice.get("finish_reason") is not None
        case _:
            return False


def tokens_so_far(port: int, *, timeout_s: float = 5.0) -> float | None:
    """The sum of the server's own token counters, which grows while it works; None where it has none."""
    found = _COUNTERS.findall(_ask(port, "GET", "/metrics", timeout_s) or b"")
    return sum(map(float, found)) if found else None


def _ask(port: int, method: str, path: str, timeout_s: float, body: str | None = None) -> bytes | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read(_ANSWER_LIMIT)
        return content if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
