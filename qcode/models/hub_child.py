"""The child process that asks a hub's own client library; run as `python -P -m qcode.models.hub_child`.

Arguments: probe|fetch, hf|modelscope, repository, path, revision (may be empty), folder. It prints one JSON object: for
probe `sha256` and `bytes` as the hub lists them, for fetch `path`; on failure `error`, one of missing, full and
unreachable, and `reason`.
"""

import contextlib
import errno
import json
import sys
from collections.abc import Callable

_METADATA_TIMEOUT_S = 10
_NOT_THERE = {"RepositoryNotFoundError", "EntryNotFoundError", "RevisionNotFoundError", "NotExistError"}

Answer = dict[str, str | int | None]


def probe_hf(repository: str, path: str, revision: str, _: str) -> Answer:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, path, revision=revision or None)
    found = get_hf_file_metadata(url, timeout=_METADATA_TIMEOUT_S)
    return {"sha256": found.etag, "bytes": found.size}


def fetch_hf(repository: str, path: str, revision: str, folder: str) -> Answer:
    from huggingface_hub import hf_hub_download

    return {"path": hf_hub_download(repository, path, revision=revision or None, local_dir=folder)}


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
    if type(error).__name__ == "LocalEntryNotFoundError" and error.__cause__ is not None:
        # It only says that nothing is in the cache; what went wrong with the hub is its cause.
        error = error.__cause__
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
