"""The child process that asks a hub's own client library; run as `python -P -m qcode.models.hub_child`.

Arguments: probe|fetch, hf|modelscope, repository, path, revision (may be empty), folder. It prints one JSON object: for
probe `sha256` and `bytes` as the hub lists them, for fetch `path`; on failure `error`, one of missing, full and
unreachable, and `reason`.
"""

import contextlib
import errno
import json
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

_METADATA_TIMEOUT_S = 10
# Tries without a single byte before the hub counts as out of reach.
_TRIES = 5
_PAUSE_S = 1.0
_CHUNK = 1024 * 1024
_NOT_THERE = {"RepositoryNotFoundError", "EntryNotFoundError", "RevisionNotFoundError", "NotExistError"}

Answer = dict[str, str | int | None]


def probe_hf(repository: str, path: str, revision: str, _: str) -> Answer:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, path, revision=revision or None)
    found = get_hf_file_metadata(url, timeout=_METADATA_TIMEOUT_S)
    return {"sha256": found.etag, "bytes": found.size}


def fetch_hf(repository: str, path: str, revision: str, folder: str) -> Answer:
    """The library's own download starts again from nothing after a kill, so the bytes are asked for here, by ranges."""
    from huggingface_hub import get_hf_file_metadata, get_session, get_token, hf_hub_url

    url = hf_hub_url(repository, path, revision=revision or None)
    found = get_hf_file_metadata(url, timeout=_METADATA_TIMEOUT_S)
    if found.size is None:
        return {"error": "unreachable", "reason": "the hub does not tell the size of the file"}
    partial = Path(folder) / f"{found.etag}.part"
    token = get_token()
    authorization = {"Authorization": f"Bearer {token}"} if token else {}
    failures = 0
    while (start := partial.stat().st_size if partial.exists() else 0) < found.size:
        headers = {**authorization, "Accept-Encoding": "identity", "Range": f"bytes={start}-"}
        try:
            with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
                response.raise_for_status()
                with partial.open("ab" if response.status_code == HTTPStatus.PARTIAL_CONTENT else "wb") as file:
                    for data in response.iter_bytes(_CHUNK):
                        file.write(data)
        except Exception as error:
            failures = 0 if partial.exists() and partial.stat().st_size > start else failures + 1
            if failures == _TRIES or _failure(error)["error"] != "unreachable":
                raise
            time.sleep(_PAUSE_S)
    return {"path": str(partial.rename(partial.with_name(path.rpartition("/")[2])))}


def probe_modelscope(repository: str, path: str, _: str, __: str) -> Answer:
    from modelscope.hub.api import HubApi

    for entry in HubApi().get_model_files(repository, recursive=True):
        if entry.get("Path") == path:
            return {"sha256": entry.get("Sha256"), "bytes": entry.get("Size")}
    return {"error": "missing", "reason": f"{path} is not in its listing"}


def fetch_modelscope(repository: str, path: str, _: str, folder: str) -> Answer:
    # Its commits are not those of Hugging Face: the branch is taken, and the SHA-256 decides.
    from modelscope.hub.file_download import model_file_download

    return {"path": str(model_file_download(repository, path, local_dir=folder))}


_JOBS: dict[tuple[str, str], Callable[[str, str, str, str], Answer]] = {
    ("probe", "hf"): probe_hf,
    ("fetch", "hf"): fetch_hf,
    ("probe", "modelscope"): probe_modelscope,
    ("fetch", "modelscope"): fetch_modelscope,
}


def main(arguments: list[str]) -> int:
    """Do one job; the answer goes to stdout, all that the libraries print to stderr."""
    job, hub, repository, path, revision, folder = arguments
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = _JOBS[job, hub](repository, path, revision, folder)
        except Exception as error:
            answer = _failure(error)
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


def _failure(error: BaseException) -> Answer:
    reason = f"{type(error).__name__}: {error}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return {"error": "full", "reason": reason}
    if _NOT_THERE & names or (isinstance(status, int) and 400 <= status < 500):
        return {"error": "missing", "reason": reason}
    return {"error": "unreachable", "reason": reason}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
