"""The hosts from which pip installs on this machine, asked at run time: none is written here.

An index is a host, and the files that its pages link to may be on another one. Which, its page of one project tells:
as JSON (PEP 691) or HTML (PEP 503) of the simple repository API.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from qcode_sandbox.gate import AllowedHost
from qcode_sandbox.pip_settings import PipSettings

_PROJECT = "pip"
_KINDS = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PAGE_LIMIT = 8_000_000
_SECONDS = 20.0
_PORTS = {"http": 80, "https": 443}


async def index_hosts(settings: PipSettings, on_line: Callable[[str], None]) -> tuple[AllowedHost, ...]:
    """Hosts of the indexes, which may be on a private network since pip is set to them, and of their files, which
    may not if they are on others. An index that does not answer is told to `on_line`, and only its own host counts."""
    found: dict[AllowedHost, None] = {}
    for index in (settings.index_url, *settings.extra_index_urls):
        if own := _host(index, private=True):
            found[own] = None
    known = {host.name for host in found}
    for index in (settings.index_url, *settings.extra_index_urls):
        try:
            async with asyncio.timeout(_SECONDS):
                links = await _links(index, settings)
        except (OSError, TimeoutError, ValueError, RecursionError) as error:
            where = urlsplit(index).hostname
            on_line(f"the package index at {where} does not say where its files are ({str(error) or 'no answer'}); "
                    "only its own host is reached")  # fmt: skip
            continue
        hosts = {host for link in links if (host := _host(link, private=urlsplit(link).hostname in known))}
        found |= dict.fromkeys(sorted(hosts, key=lambda host: (host.name, host.ports)))
    return tuple(found)


def _host(url: str, *, private: bool) -> AllowedHost | None:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return AllowedHost(parts.hostname, (parts.port or _PORTS[parts.scheme],), private)


async def _links(index: str, settings: PipSettings) -> list[str]:
    """The addresses on the index's page of one project. Raises: OSError, ValueError."""
    import httpx

    address = f"{index.rstrip('/')}/{_PROJECT}/"
    trust = ssl.create_default_context(cafile=str(settings.cert) if settings.cert else None)
    page = bytearray()
    try:
        async with (
            httpx.AsyncClient(verify=trust, follow_redirects=True, timeout=_SECONDS) as client,
            client.stream("GET", address, headers={"Accept": _KINDS}) as answer,
        ):
            answer.raise_for_status()
            async for block in answer.aiter_bytes():
                page += block
                if len(page) > _PAGE_LIMIT:
                    raise ValueError("its page is too long")
            base, kind = str(answer.url), answer.headers.get("content-type", "")
    except httpx.HTTPError as error:
        raise OSError(type(error).__name__) from error
    text = page.decode("utf-8", "replace")
    targets = _in_json(text) if "json" in kind else _in_html(text)
    return [urljoin(base, target) for target in targets]


def _in_json(text: str) -> list[str]:
    match json.loads(text):
        case {"files": list(files)}:
            return [file["url"] for file in files if isinstance(file, dict) and isinstance(file.get("url"), str)]
        case _:
            raise ValueError("its page lists no files")


def _in_html(text: str) -> list[str]:
    reader = _Links()
    reader.feed(text)
    return reader.found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]
