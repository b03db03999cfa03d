"""Model files from Hugging Face and ModelScope, by their own client libraries in a child process."""

import importlib.util
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from qcode.errors import ConfigError, ModelFileError
from qcode.models.card import Gguf, GgufFile, Source
from qcode.models.crew import POLL_S, Crew, bytes_in
from qcode.models.progress import Counter, Watch

_TITLES = {Source.HUGGINGFACE: "Hugging Face", Source.MODELSCOPE: "ModelScope"}
_LIBRARIES = {Source.HUGGINGFACE: "huggingface_hub", Source.MODELSCOPE: "modelscope"}
# The libraries' own bars would run into ours.
_QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_PROBE_TIMEOUT_S = 20.0


class Unreachable(ModelFileError):
    """The hub does not answer, so no other file can be had from it either; `what` without the advice."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}: {advice}")
        self.what = what


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the hub lists it."""

    sha256: str | None
    bytes: int | None


def unavailable(source: Source) -> str | None:
    """Why the hub cannot be asked at all, None when its library is there."""
    if importlib.util.find_spec(_LIBRARIES[source]) is None:
        return f"{_LIBRARIES[source]} is not installed (run `pip install 'qcode[hub]'`)"
    if source is Source.HUGGINGFACE and os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    return None


def require(source: Source) -> None:
    """Raises: ConfigError when the hub's library is not there."""
    reason = unavailable(source)
    if reason:
        raise ConfigError(f"cannot use {_TITLES[source]}: {reason}")


def probe(source: Source, gguf: Gguf, file: GgufFile, folder: Path) -> Listed:
    """Ask the hub what it lists for a file. Raises: ModelFileError."""
    with Crew() as crew:
        child = crew.start(_arguments("probe", source, gguf, file, folder), cwd=folder, env=_QUIET)
        give_up = time.monotonic() + _PROBE_TIMEOUT_S
        while child.poll() is None:
            if time.monotonic() > give_up:
                raise _error(source, gguf, file, {"reason": "no answer"})
            time.sleep(POLL_S)
        answer = _answer(source, gguf, file, child.output())
    digest, size = answer.get("sha256"), answer.get("bytes")
    known = isinstance(digest, str) and len(digest) == 64
    return Listed(sha256=str(digest) if known else None, bytes=size if isinstance(size, int) else None)


def fetch_file(source: Source, gguf: Gguf, file: GgufFile, folder: Path, watch: Watch, total: int) -> Path:
    """Download one file into the folder, going on with what an earlier try left there; `total` in bytes.

    Raises: ModelFileError, OSError.
    """
    left = bytes_in(folder)
    if left:
        watch.say(f"going on with {left / 1e6:.1f} MB from an earlier download")
    with watch.bar(f"downloading {file.name}", total) as advance, Crew() as crew:
        counter = Counter(advance)
        child = crew.start(_arguments("fetch", source, gguf, file, folder), cwd=folder, env=_QUIET)
        while child.poll() is None:
            counter.to(bytes_in(folder))
            time.sleep(POLL_S)
        return Path(str(_answer(source, gguf, file, child.output())["path"]))


def _arguments(job: str, source: Source, gguf: Gguf, file: GgufFile, folder: Path) -> list[str]:
    revision = (gguf.revision or "") if source is Source.HUGGINGFACE else ""
    return ["-m", "qcode.models.hub_child", job, source, _repository(source, gguf), file.path, revision, str(folder)]


def _repository(source: Source, gguf: Gguf) -> str:
    return (gguf.huggingface if source is Source.HUGGINGFACE else gguf.modelscope) or ""


def _answer(source: Source, gguf: Gguf, file: GgufFile, output: str) -> dict[str, object]:
    try:
        answer = json.loads(output)
    except ValueError:
        answer = {"error": "unreachable", "reason": "its client library stopped without an answer"}
    if not isinstance(answer, dict) or "error" in answer:
        raise _error(source, gguf, file, answer if isinstance(answer, dict) else {})
    return answer


def _error(source: Source, gguf: Gguf, file: GgufFile, answer: dict[str, object]) -> ModelFileError:
    title, where = _TITLES[source], f"{_repository(source, gguf)}/{file.path}"
    reason = " ".join(str(answer.get("reason", "no reason given")).split())[:160]
    match answer.get("error"):
        case "full":
            return ModelFileError(f"the disk is full: make room and run the same command again ({reason})")
        case "missing":
            return ModelFileError(f"{title} has no {where}, or does not show it to you: {reason}")
        case _:
            others = " or ".join(f"--from {each}" for each in (*gguf.sources, "PATH") if each != source)
            return Unreachable(
                f"{title} cannot be reached ({reason})",
                f"check the network and run the same command again to get {where}, or use {others}",
            )
