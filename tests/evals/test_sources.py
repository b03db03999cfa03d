import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qcode_evals.environments.sources import SourceError, fetch
from qcode_evals.tasks.dataset import SdistSource
from qcode_sandbox.pip_settings import PipSettings, pip_settings

ARCHIVE = b"a source archive"
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


def source(name: str = "Own_Thing==1.0", sha256: str = SHA256) -> SdistSource:
    return SdistSource(sdist=name, sha256=sha256, tree="0" * 40)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Index(ThreadingHTTPServer):
    """A package index on loopback: its pages by path."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = pages
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.pages.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def index() -> Iterator[Index]:
    page = {"files": [{"url": "../../files/own.tar.gz", "hashes": {"sha256": SHA256}}]}
    with Index({"/simple/own-thing/": json.dumps(page).encode(), "/files/own.tar.gz": ARCHIVE}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_an_archive_is_found_by_its_hash_and_fetched_once(index: Index, tmp_path: Path) -> None:
    pip = PipSettings(index_url=f"{index.url}/empty", extra_index_urls=(f"{index.url}/simple/",))
    for _ in range(2):
        assert (await fetch(source(), pip, folder=tmp_path / "cache")).read_bytes() == ARCHIVE
    assert index.asked == ["/empty/own-thing/", "/simple/own-thing/", "/files/own.tar.gz"]


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        ({}, "no file of Own_Thing==1.0"),
        ({"/simple/own-thing/": b'{"files": []}'}, "no file of Own_Thing==1.0"),
        ({"/simple/own-thing/": b"<html>"}, "as JSON"),
        ({"/simple/own-thing/": b"[]"}, "as JSON"),
        ({"/files/own.tar.gz": b"another archive"}, "an archive's SHA-256 is"),
    ],
)
async def test_what_an_index_can_do_wrong(index: Index, tmp_path: Path, pages: dict[str, bytes], says: str) -> None:
    index.pages = index.pages | pages if "/files/own.tar.gz" in pages else pages
    with pytest.raises(SourceError, match=says):
        await fetch(source(), PipSettings(index_url=f"{index.url}/simple"), folder=tmp_path)
    assert names_in(tmp_path) == []


async def test_an_index_that_does_not_answer(tmp_path: Path) -> None:
    with Index({}) as server:
        url = server.url
    with pytest.raises(SourceError, match=r"cannot fetch Own_Thing==1\.0 .*refused"):
        await fetch(source(), PipSettings(index_url=url), folder=tmp_path)


async def test_settings_are_read_as_pip_reads_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("", encoding="utf-8")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@index.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///srv/packages https://more.example/simple")
    monkeypatch.setenv("PIP_CERT", str(bundle))
    pip = await pip_settings()
    assert pip.index_url == "https://user:secret@index.example/simple"
    assert pip.extra_index_urls == ("https://more.example/simple",)
    inside = pip.environment(cert="/opt/ca.crt")
    assert inside["PIP_CERT"] == inside["SSL_CERT_FILE"] == "/opt/ca.crt"
    assert inside["PIP_EXTRA_INDEX_URL"] == "https://more.example/simple"


async def test_without_a_setting_it_is_pips_own_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert (await pip_settings()).index_url.startswith("https://")
