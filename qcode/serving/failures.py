"""Why a server ended, from its exit and its log. A log is untrusted text: one line of it is shown, made safe.

Sources of the wordings: vLLM's v1/core/kv_cache_utils.py and v1/worker, torch's allocator, SGLang's model_runner.py,
llama.cpp's ggml-backend and llama-kv-cache.
"""

import contextlib
import re
import signal
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qcode.backends.openai_compat.faults import one_line
from qcode.models.memory import memory_groups, upwards

_MEMORY = re.compile(
    r"OutOfMemoryError|out of memory|No available memory for the cache blocks"
    r"|larger than the available KV cache memory|Not enough memory|can't allocate memory|Cannot allocate memory"
    r"|MemoryError|failed to allocate|unable to allocate|bad_alloc",
    re.IGNORECASE,
)
_FITS = re.compile(r"estimated maximum model length is (\d+)")
# Nothing that another try would change.
_FINAL = re.compile(
    r"unrecognized arguments|invalid choice|the following arguments are required|No module named|is not installed"
    r"|Repository Not Found|RepositoryNotFound|LocalEntryNotFound|GatedRepo|is not a local folder"
    r"|address already in use|couldn't bind|failed to load model"
    r"|does not recognize this architecture|less than desired GPU memory utilization"
)
_TELLING = re.compile(r"\b(?:\w*Error|\w*Exception|error)\b\s*:|\b[EF] \S*:|\bERROR\b")
# What vLLM says when the process that holds the model has ended without a word of its own.
_ENGINE_GONE = re.compile(r"engine core exited unexpectedly|died unexpectedly, shutting down")
_HARMLESS = re.compile(r"(?:^|\) )(?:INFO|WARNING|DEBUG)\s+\d\d-\d\d ")
_NOISE = re.compile(
    r"^Traceback|^\s+File |^\s+raise |^\s*\^+$|See root cause above|Engine core initialization failed|EngineDeadError"
    r"|See stack trace|UserWarning|warnings\.warn"
)


class Kind(StrEnum):
    MEMORY = "memory"
    FINAL = "final"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, in words for the user; `fits` is the window that the engine says would fit."""

    kind: Kind
    words: str
    fits: int | None = None


def ending(code: int, log: str, *, killed_for_memory: bool = False) -> Ending:
    """Judge an exit: `code` as subprocess has it, the end of the log, whether the kernel killed for memory of late."""
    how = _exit_words(code)
    gone = _ENGINE_GONE.search(log) is not None
    if killed_for_memory and (code == -signal.SIGKILL or gone):
        return Ending(Kind.MEMORY, "the kernel killed it because the memory was used up")
    fits = _FITS.findall(log)
    memory = [line for line in log.splitlines() if _MEMORY.search(line)]
    if memory:
        return Ending(Kind.MEMORY, f"out of memory ({_shown(memory[-1])})", int(fits[-1]) if fits else None)
    if code < 0:
        return Ending(Kind.CRASH, how)
    line = _telling_line(log)
    if gone and not _TELLING.search(_bare(line)):
        return Ending(Kind.CRASH, "the process that holds the model was killed")
    words = f"{how}: {_shown(line)}" if line else how
    # Only its last words count: warnings on the way use the same ones.
    last = "\n".join(log.splitlines()[-15:])
    return Ending(Kind.FINAL if _FINAL.search(last) else Kind.CRASH, words)


def oom_kills(*, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How often the kernel has killed a process for memory in this process's control group, where its children are too;
    on the whole machine where the group does not tell. In the groups of others, such as containers, it happens often.
    """
    for _, root, group in memory_groups(proc, cgroup):
        for folder in upwards(group, root):
            for name in ("memory.events", "memory.oom_control"):
                if (count := _kills_in(folder / name)) is not None:
                    return count
    return _kills_in(proc / "vmstat") or 0


def _kills_in(counters: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        lines = counters.read_text(encoding="utf-8").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
    return None


def _telling_line(log: str) -> str:
    """The last line that names an error, else the last line."""
    lines = [line for line in log.splitlines() if line.strip() and not _NOISE.search(_bare(line))]
    lines = [line for line in lines if not _HARMLESS.search(line)] or lines
    return next((line for line in reversed(lines) if _TELLING.search(_bare(line))), lines[-1] if lines else "")


def _shown(line: str) -> str:
    return one_line(_bare(line))


def _bare(line: str) -> str:
    """Without what loggers put in front of their words: process, time, file."""
    bare = re.sub(r"^\(?[\w ]*pid=\d+\)\s*", "", line)
    bare = re.sub(r"^(?:ERROR|INFO|WARNING)\s+[\d-]+\s+[\d:]+\s+\[[^\]]*\] ?", "", bare)
    return re.sub(r"^[\d.]+ [EWF] (?:\S+\s+)?\S+: ", "", bare)


def _exit_words(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
