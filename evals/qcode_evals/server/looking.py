"""One look at the model's server: a question of one token, over HTTP or through a backend that keeps its engine up."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from qcode.backends.openai_compat import faults
from qcode.backends.openai_compat.client import is_loopback
from qcode.deltas import EngineRestarted, PrefillProgress, Retrying
from qcode.errors import BackendError, Unavailable
from qcode.messages import User
from qcode.model import Reachable, Request, Sampling
from qcode_evals.server.presence import BUSY, THERE, Look, Sight

if TYPE_CHECKING:
    import httpx

LOOK_S, CONNECT_S = 30.0, 10.0
"""Seconds for the answer, and for the connection; a server that needs longer for one token has much to do."""

_QUESTION = "Say yes."


def look_at(backend: Reachable, key: str | None) -> Look | None:
    """How to look at the server behind a backend; None where it is none. One that starts its own engine again is asked
    through it, so that it does."""
    info = backend.info
    if info.engine == "scripted":
        return None
    if "base_url" in info.details and "server" not in info.details:
        return look_over_http(info.details["base_url"], lambda: backend.info.model, key)

    async def look() -> Sight:
        request = Request(system="", history=(User(text=_QUESTION),), sampling=Sampling(max_tokens=1))
        try:
            async with asyncio.timeout(LOOK_S), aclosing(backend.stream(request)) as stream:
                async for item in stream:
                    if not isinstance(item, PrefillProgress | Retrying | EngineRestarted):
                        return THERE
        except Unavailable as error:
            return Sight(False, str(error))
        except BackendError:
            return THERE
        except TimeoutError:
            return BUSY
        return THERE

    return look


def look_over_http(url: str, model: Callable[[], str], key: str | None) -> Look:
    """A look at an OpenAI-compatible server at the base URL."""

    async def look() -> Sight:
        import httpx

        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = {"model": model(), "messages": [{"role": "user", "content": _QUESTION}], "max_tokens": 1}
        timeout = httpx.Timeout(LOOK_S, connect=CONNECT_S)
        try:
            async with httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=not is_loopback(url)) as client:
                answer = await client.post(f"{url}/chat/completions", json=body)
                if answer.status_code == 503:
                    # From a server that has too much to do, or from a gateway that has no server behind it.
                    listed = await client.get(f"{url}/models")
                    return _gone(url, answer) if listed.status_code >= 500 else BUSY
                return _gone(url, answer) if answer.status_code >= 500 else THERE
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            return BUSY
        except httpx.HTTPError as error:
            detail = faults.one_line(str(error)) or type(error).__name__
            return Sight(False, f"nothing answers at {url}: {detail}")

    return look


def _gone(url: str, answer: "httpx.Response") -> Sight:
    try:
        said = faults.words_of(answer.json())
    except (ValueError, RecursionError):
        said = faults.words_of(answer.text)
    return Sight(False, f"{url} answers {answer.status_code}: {faults.one_line(said) or 'without a word'}")
