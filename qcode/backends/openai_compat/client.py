"""The HTTP side: one AsyncOpenAI for a base URL, how long it is waited for, and how much it may say."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from qcode.backends.openai_compat.sdk import import_openai
from qcode.errors import ConfigError

if TYPE_CHECKING:
    import httpx2
    import openai

ANSWER_LIMIT = 256_000_000
"""Bytes that one answer may have; more is a server gone mad."""

ERROR_LIMIT = 64_000
"""Bytes that are read of a body that explains an error."""

KEEPALIVE_S = 4.0
"""A connection idle for longer is not used again: uvicorn, which vLLM runs on, closes after 5 s."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, each on its own: until the connection stands, until the first token, and without a single byte after it.

    Bytes that carry no token, such as comments that keep a stream alive, start the wait anew. There is no limit in
    total.
    """

    connect_s: float = 10.0
    first_token_s: float = 600.0
    silence_s: float = 120.0


class TooMuch(Exception):
    """For the backend: the server sent more than ANSWER_LIMIT bytes."""


class Patience:
    """One deadline that every byte from the server moves."""

    def __init__(self) -> None:
        self._deadline: asyncio.Timeout | None = None
        self._limit_s = 0.0

    def heard(self) -> None:
        """Something came: wait anew."""
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._limit_s)

    async def wait(self, awaitable: Awaitable[T], limit_s: float, error: Callable[[], Exception]) -> T:
        """The result, or `error()` raised after `limit_s` seconds without a byte."""
        self._limit_s = limit_s
        try:
            async with asyncio.timeout(limit_s) as self._deadline:
                return await awaitable
        except TimeoutError:
            if self._deadline is not None and self._deadline.expired():
                raise error() from None
            raise
        finally:
            self._deadline = None


def server_root(base_url: str) -> str:
    """The URL without its trailing slash and /v1: where servers keep what OpenAI has no name for."""
    return base_url.rstrip("/").removesuffix("/v1")


def checked_url(base_url: str) -> str:
    """The URL, without trailing slash. Raises: ConfigError for what cannot be one."""
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not base_url.isprintable() or " " in base_url or parts.username is not None:
        raise ConfigError(f"--base-url must look like http://127.0.0.1:8000/v1, not {base_url!r}")
    return base_url.rstrip("/")


def is_loopback(url: str) -> bool:
    """True where the host is this machine by its own name or address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def bounded(response: "httpx2.Response", limit: int, heard: Callable[[], None] | None = None) -> None:
    """Let the response's body have `limit` bytes at most, and tell `heard` of each piece.

    Past the limit a body that is watched raises TooMuch; another one just ends.
    """
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, source: httpx2.AsyncByteStream) -> None:
            self._source = source

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in self._source:
                size += len(piece)
                if heard is not None:
                    heard()
                    if size > limit:
                        raise TooMuch
                yield piece[: max(0, limit - size + len(piece))]
                if size > limit:
                    return

        async def aclose(self) -> None:
            await self._source.aclose()

    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = Bounded(response.stream)


async def open_client(base_url: str, *, api_key: str | None, connect_s: float) -> "openai.AsyncOpenAI":
    """A client of one server that does not retry, does not follow redirects, and waits as long as it is left to.

    A proxy of the environment is never used for this machine.
    """
    # In a thread: the import takes a tenth of a second in which a sandbox can start.
    await asyncio.to_thread(import_openai)
    import httpx2
    from openai import AsyncOpenAI

    async def bound_errors(response: httpx2.Response) -> None:
        if response.status_code >= 300:
            bounded(response, ERROR_LIMIT)

    local = is_loopback(base_url)
    verify: Any = True
    if local and base_url.startswith("http:"):
        import ssl

        # Plain HTTP needs no certificates, and loading the system's takes 20 ms: this context knows and trusts none.
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    timeout = httpx2.Timeout(None, connect=connect_s)
    http_client = httpx2.AsyncClient(
        verify=verify,
        trust_env=not local,
        timeout=timeout,
        limits=httpx2.Limits(keepalive_expiry=KEEPALIVE_S),
        event_hooks={"response": [bound_errors]},
        follow_redirects=False,
    )
    return AsyncOpenAI(
        base_url=base_url,
        # Never the key of the environment: that one belongs to OpenAI, not to whoever runs this server.
        api_key=api_key or "none",
        admin_api_key="",
        max_retries=0,
        http_client=http_client,
        timeout=timeout,
    )


_UNTOLD = (
    "X-Stainless-Lang",
    "X-Stainless-Package-Version",
    "X-Stainless-OS",
    "X-Stainless-Arch",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Async",
    "X-Stainless-Retry-Count",
    "X-Stainless-Read-Timeout",
    "OpenAI-Organization",
    "OpenAI-Project",
)


def request_options(api_key: str | None, session: str) -> "openai.RequestOptions":
    """What every request is sent with: who asks, and nothing of the machine or account that the SDK would add.

    By `session` a router in front of several servers knows which of them has read the prompt before.
    """
    from openai import Omit

    from qcode import __version__

    headers: dict[str, str | Omit] = {"User-Agent": f"qcode/{__version__}", "Accept-Encoding": "identity"}
    headers["X-Session-Id"] = session
    headers |= dict.fromkeys(_UNTOLD, Omit())
    if not api_key:
        headers["Authorization"] = Omit()
    return {"headers": headers, "follow_redirects": False}
