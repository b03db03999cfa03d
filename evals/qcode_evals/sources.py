"""Source archives from the package index that this machine's pip uses, checked by SHA-256.

The index is asked for its JSON page (PEP 691), so nothing of a package is built or run to learn its metadata.
"""

import asyncio
import base64
import hashlib
import http.client
import json
import os
import re
import ssl
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qcode.config.paths import cache_dir
from qcode.errors import QcodeError
from qcode.models.atomic import replacing
from qcode_evals.dataset import SdistSource

_JSON_PAGE = "application/vnd.pypi.simple.v1+json"
_TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_LARGEST = 500_000_000

# pip is the one that knows where its index is; no address is written here.
_ASK_PIP = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


class SourceError(QcodeError):
    """For the user: a source archive cannot be had."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What pip is configured with here: index, further indexes, trusted hosts, certificates, time limit."""

    index_url: str
    extra_index_urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: Path | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)

    def environment(self, *, cert: str | None) -> dict[str, str]:
        """The same settings as variables for a container, whose certificates are at `cert`."""
        values = {"PIP_INDEX_URL": self.index_url, "PIP_DEFAULT_TIMEOUT": "180", **self.proxies}
        if self.extra_index_urls:
            values["PIP_EXTRA_INDEX_URL"] = " ".join(self.extra_index_urls)
        if self.trusted_hosts:
            values["PIP_TRUSTED_HOST"] = " ".join(self.trusted_hosts)
        if cert:
            values |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), cert)
        return values


async def _python(*arguments: str) -> str:
    """Output of a Python child that sees nothing of the working directory; "" if it fails."""
    with tempfile.TemporaryDirectory(prefix="qcode-") as directory:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", *arguments, cwd=directory,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await child.communicate()
    return output.decode("utf-8", "replace").strip() if child.returncode == 0 else ""


def _parse_config(listing: str) -> dict[str, list[str]]:
    """Values by option from `pip config list`, whose lines are `section.option='value'`; later sections win."""
    values: dict[str, list[str]] = {}
    order = {"global": 0, "install": 1, "download": 1, ":env:": 2}
    found = [m.groups() for line in listing.splitlines() if (m := re.match(r"(.+?)\.([a-z0-9-]+)='(.*)'$", line))]
    for _, option, value in sorted(found, key=lambda entry: order.get(entry[0], -1)):
        values[option] = value.replace("\\n", " ").split()
    return values


def _remote(urls: list[str]) -> tuple[str, ...]:
    return tuple(url for url in urls if urllib.parse.urlsplit(url).scheme in {"http", "https"})


def _certificates(configured: list[str]) -> Path | None:
    named = [*configured, *(os.environ.get(name, "") for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"))]
    defaults = ssl.get_default_verify_paths()
    candidates = [*named, defaults.cafile or "", defaults.openssl_cafile or ""]
    return next((Path(name) for name in candidates if name and Path(name).is_file()), None)


async def pip_settings() -> PipSettings:
    """Read them as pip would: its variables, its configuration files, else its own default index.

    Indexes and link directories on this machine's disk are left out: a container does not have them.
    Raises: SourceError if there is no pip to ask.
    """
    config = _parse_config(await _python("-m", "pip", "--disable-pip-version-check", "config", "list"))
    index = _remote(config.get("index-url", []))
    if not index:
        index = _remote([await _python("-c", _ASK_PIP)])
    if not index:
        raise SourceError("no package index is known: install pip, or set PIP_INDEX_URL")
    names = [f"{kind}_proxy" for kind in ("http", "https", "no")]
    proxies = {name: os.environ[name] for name in [*names, *map(str.upper, names)] if os.environ.get(name)}
    return PipSettings(
        index_url=index[0],
        extra_index_urls=_remote(config.get("extra-index-url", [])),
        trusted_hosts=tuple(config.get("trusted-host", [])),
        cert=_certificates(config.get("cert", [])),
        proxies=proxies,
    )


def _open(url: str, pip: PipSettings, *, accept: str) -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": accept, "User-Agent": "qcode-evals"}
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    request = urllib.request.Request(urllib.parse.urlunsplit(bare), headers=headers)
    if parts.username:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    context = ssl.create_default_context(cafile=str(pip.cert) if pip.cert else None)
    if parts.hostname in {host.partition(":")[0] for host in pip.trusted_hosts}:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    response = urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context)
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _file_url(project: str, sha256: str, pip: PipSettings) -> str | None:
    """Address of the project's file with this hash, from the first index that has it."""
    name = re.sub(r"[-_.]+", "-", project).lower()
    for index in (pip.index_url, *pip.extra_index_urls):
        page_url = f"{index.rstrip('/')}/{name}/"
        try:
            with _open(page_url, pip, accept=_JSON_PAGE) as response:
                page = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                continue
            raise
        for entry in page["files"]:
            if entry["hashes"].get("sha256") == sha256:
                return urllib.parse.urljoin(page_url, str(entry["url"]))
    return None


def _download(url: str, target: Path, sha256: str, pip: PipSettings) -> None:
    digest = hashlib.sha256()
    size = 0
    with replacing(target) as file, _open(url, pip, accept="*/*") as response:
        while block := response.read(_BLOCK):
            size += len(block)
            if size > _LARGEST:
                raise SourceError(f"the archive {target.name} is larger than {_LARGEST // 1_000_000} MB")
            digest.update(block)
            file.write(block)
        if digest.hexdigest() != sha256:
            raise SourceError(f"an archive's SHA-256 is {digest.hexdigest()}, the row says {sha256}; try again")


def _fetch(source: SdistSource, pip: PipSettings, folder: Path) -> Path:
    target = folder / source.sha256
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    try:
        url = _file_url(source.project, source.sha256, pip)
        if url is None:
            raise SourceError(f"the package index has no file of {source.sdist} with SHA-256 {source.sha256}")
        _download(url, target, source.sha256, pip)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise SourceError(f"cannot fetch {source.sdist} from the package index: {why}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(f"the package index does not list {source.project} as JSON (PEP 691)") from None
    return target


async def fetch(source: SdistSource, pip: PipSettings, *, folder: Path | None = None) -> Path:
    """The archive as a local file, from the cache or from the index.

    Raises: SourceError if the index does not answer, does not have it, or sends something else.
    """
    return await asyncio.to_thread(_fetch, source, pip, folder or cache_dir() / "evals" / "archives")
