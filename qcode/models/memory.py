"""How much memory this machine has for a model, and how much a model needs. All numbers in bytes."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qcode.models.card import ModelCard

# What llama.cpp and its compute buffers take beside weights and cache.
OVERHEAD_BYTES = 512 * 1024**2
# The window that a coding session should have at least: a few files and their tests.
SESSION_TOKENS = 32_768
# Without a GPU, a model with more active parameters (billions) needs minutes to read its first prompt.
CPU_ACTIVE_LIMIT_B = 4.0

_NVIDIA_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Memory:
    """What is free: main memory within the limits of this process's control group, and all NVIDIA GPUs together."""

    ram: int
    gpu: int = 0


class Fit(StrEnum):
    """How a model would run here."""

    GPU = "gpu"
    CPU = "cpu"
    SLOW = "slow"
    NO = "no"


def detect_memory(*, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Memory:
    """Look at /proc/meminfo, the control group (v1 and v2) and nvidia-smi, where there is one."""
    return Memory(ram=min((_free_ram(proc), *_group_rooms(proc, cgroup))), gpu=_free_gpu())


def bytes_needed(card: ModelCard, tokens: int = SESSION_TOKENS) -> int:
    """Weights, a 16-bit cache for that many tokens, and the engine's buffers."""
    cached = min(tokens, card.context.native)
    return card.gguf.bytes + cached * card.architecture.kv_bytes_per_token + OVERHEAD_BYTES


def fit(card: ModelCard, memory: Memory) -> Fit:
    """How the model would run in that memory."""
    needed = bytes_needed(card)
    if needed <= memory.gpu:
        return Fit.GPU
    if needed > memory.ram:
        return Fit.NO
    return Fit.CPU if card.architecture.active_b <= CPU_ACTIVE_LIMIT_B else Fit.SLOW


def _free_ram(proc: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    # Not Linux: what is installed, since what is free cannot be told.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def memory_groups(proc: Path, cgroup: Path) -> Iterator[tuple[int, Path, Path]]:
    """The control groups that count this process's memory: version, folder of the topmost group, folder of its own.

    Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux.
    """
    with contextlib.suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                yield 2, cgroup, cgroup / group.lstrip("/")
            elif "memory" in controllers.split(","):
                yield 1, cgroup / "memory", cgroup / "memory" / group.lstrip("/")


def upwards(group: Path, root: Path) -> Iterator[Path]:
    """The folder of a group and those of the groups above it."""
    return (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _group_rooms(proc: Path, cgroup: Path) -> Iterator[int]:
    """What each limit leaves, of this process's group and of those above it.

    Cached file pages count as used there, though the kernel gives them back: inactive_file is added again.
    """
    for version, root, group in memory_groups(proc, cgroup):
        if version == 2:
            limit, used, cached = "memory.max", "memory.current", "inactive_file"
        else:
            limit, used, cached = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        for folder in upwards(group, root):
            with contextlib.suppress(OSError, ValueError):
                statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                taken = int((folder / used).read_text()) - int(statistics.get(cached, 0))
                yield max(0, int((folder / limit).read_text()) - taken)


def _free_gpu() -> int:
    """Free memory of all NVIDIA GPUs; 0 where nvidia-smi is not there or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        answer = subprocess.run(
            [program, "--query-gpu=memory.free", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_NVIDIA_TIMEOUT_S,
            check=True,
        )
        return sum(int(line) for line in answer.stdout.split()) * 1024**2
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0
