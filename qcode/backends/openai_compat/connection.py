"""The way to one server: its address, its key, one HTTP client, and short questions outside the conversation."""

import asyncio
import os
from typing import TYPE_CHECKING, Any

from qcode.backends.openai_compat import faults, payload
from qcode.backends.openai_compat.client import Timeouts, checked_url, open_client, request_options, server_root
from qcode.errors import BackendError, Unavailable

if TYPE_CHECKING:
    import openai

QUESTION_S = 30.0
"""Seconds that a question about the server, not to the model, may take."""


class Connection:
    """To the server at `base_url`; opened when it is needed. Raises: ConfigError for a URL that is none."""

    def __init__(self, base_url: str, *, api_key: str | None, timeouts: Timeouts) -> None:
        self.url = checked_url(base_url)
        self.root = server_root(self.url)
        self.timeouts = timeouts
        self._api_key = api_key
        self._session = os.urandom(16).hex()
        self._opened: openai.AsyncOpenAI | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def client(self) -> "openai.AsyncOpenAI":
        """The client, opened once. Raises: Unavailable after `aclose`."""
        async with self._opening:
            if self._closed:
                raise Unavailable(f"The backend for {self.url} is closed")
            if self._opened is None:
                connect_s = self.timeouts.connect_s
                self._opened = await open_client(self.url, api_key=self._api_key, connect_s=connect_s)
            return self._opened

    def options(self, session: str = "") -> "openai.RequestOptions":
        """What every request is sent with; those that name no session are all of one."""
        return request_options(self._api_key, session or self._session)

    async def ask(
        self, method: str, url: str, body: dict[str, Any] | None = None, *, absent_is_none: bool = False
    ) -> object:
        """One question; None where the server has no such address and that is no error. Raises: BackendError."""
        client = await self.client()
        from openai import APIStatusError

        options = self.options()
        try:
            async with asyncio.timeout(QUESTION_S):
                if method == "get":
                    return await client.get(url, cast_to=object, options=options)
                content = payload.encoded(body or {})
                return await client.post(url, content=content, cast_to=object, options=options)
        except APIStatusError as error:
            if absent_is_none and error.status_code in {404, 405, 501}:
                return None
            raise self.refusal(error) from error
        except TimeoutError as error:
            raise Unavailable(f"{url} did not answer within {QUESTION_S:g} s: see the server's log") from error
        except Exception as error:
            raise faults.from_connection(error, self.url) from error

    def refusal(self, error: "openai.APIStatusError") -> BackendError:
        """An answer that is no success, as an error of ours."""
        retry_after = error.response.headers.get("retry-after", "")
        return faults.from_status(error.status_code, faults.words_of(error.body), self.url, retry_after=retry_after)

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        self._closed = True
        client, self._opened = self._opened, None
        if client is not None:
            await client.close()
