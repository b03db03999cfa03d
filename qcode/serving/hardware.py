"""What a server can run on: GPUs, memory, processors. Sizes in bytes. Nothing heavy is imported to find out."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from qcode.errors import ConfigError
from qcode.messages import Frozen
from qcode.models.memory import detect_memory

GIB = 1024**3
_PATIENCE_S = 10
_NVIDIA_QUERY = "index,uuid,name,memory.total,memory.free"
_AMD_VENDOR = "0x1002"
_SMALLEST_AMD = 4 * GIB
"""The graphics of a processor have less memory of their own and are no help."""


class Vendor(StrEnum):
    NVIDIA = "nvidia"
    AMD = "amd"


class Gpu(Frozen):
    """One GPU; `index` is what CUDA_VISIBLE_DEVICES calls it."""

    index: int
    vendor: Vendor
    name: str
    total: int
    free: int


class Machine(Frozen):
    """One machine. `described`: not this one, but one that the user told about."""

    gpus: tuple[Gpu, ...] = ()
    ram: int
    cpus: int
    notes: tuple[str, ...] = ()
    described: bool = False


def detect(*, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Machine:
    """Ask nvidia-smi and rocm-smi where they are, else the kernel."""
    notes: list[str] = []
    gpus = _visible(nvidia_gpus(_run("nvidia-smi", f"--query-gpu={_NVIDIA_QUERY}", "--format=csv,noheader,nounits")))
    if not gpus and any((proc / "driver/nvidia/gpus").glob("*")):
        notes.append("an NVIDIA GPU is here, but nvidia-smi does not answer: install it, or its memory stays unknown")
    if not gpus:
        gpus = amd_gpus(_run("rocm-smi", "--showmeminfo", "vram", "--showproductname", "--json"))
    if not gpus:
        gpus = kernel_gpus(sys)
    return Machine(
        gpus=tuple(gpus), ram=detect_memory(proc=proc, cgroup=sys / "fs/cgroup").ram, cpus=cpus(sys), notes=tuple(notes)
    )


def described(text: str) -> Machine:
    """A machine in words: "8x80" is eight GPUs of 80 GiB, "0" none; ",512" adds main memory in GiB.

    Raises: ConfigError.
    """
    match = re.fullmatch(r"(\d{1,3})(?:x(\d{1,4}))?(?:,(\d{1,6}))?", text)
    count, each = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if match is None or (count > 0) != (each > 0):
        raise ConfigError(f"--machine must look like 8x80 (8 GPUs of 80 GiB) or 8x80,512 (and memory), not {text!r}")
    memory = each * GIB
    gpus = (Gpu(index=i, vendor=Vendor.NVIDIA, name=f"{each} GiB", total=memory, free=memory) for i in range(count))
    ram = int(match[3]) * GIB if match[3] else max(64 * GIB, 2 * count * memory)
    return Machine(gpus=tuple(gpus), ram=ram, cpus=64, described=True)


def nvidia_gpus(answer: str) -> list[tuple[Gpu, str]]:
    """GPUs with their UUID, from `nvidia-smi --query-gpu` in CSV and MiB."""
    found: list[tuple[Gpu, str]] = []
    for row in csv.reader(io.StringIO(answer), skipinitialspace=True):
        with contextlib.suppress(ValueError):
            index, uuid, name, total, free = row
            mib = 1024**2
            gpu = Gpu(index=int(index), vendor=Vendor.NVIDIA, name=name, total=int(total) * mib, free=int(free) * mib)
            found.append((gpu, uuid))
    return found


def amd_gpus(answer: str) -> list[Gpu]:
    """GPUs from `rocm-smi --showmeminfo vram --showproductname --json`."""
    try:
        cards = json.loads(answer)
    except (ValueError, RecursionError):
        return []
    found: list[Gpu] = []
    for key, values in sorted(cards.items() if isinstance(cards, dict) else ()):
        with contextlib.suppress(KeyError, ValueError, TypeError):
            total, used = int(values["VRAM Total Memory (B)"]), int(values["VRAM Total Used Memory (B)"])
            name = str(values.get("Card Series") or values.get("Card series") or "AMD")
            index = int(key.removeprefix("card"))
            found.append(Gpu(index=index, vendor=Vendor.AMD, name=name, total=total, free=total - used))
    return found


def kernel_gpus(sys: Path) -> list[Gpu]:
    """AMD's GPUs as the amdgpu driver shows them; the kernel tells no memory of NVIDIA's."""
    found: list[Gpu] = []
    for device in sorted(sys.glob("class/drm/card[0-9]/device")):
        with contextlib.suppress(OSError, ValueError):
            if (device / "vendor").read_text().strip() != _AMD_VENDOR:
                continue
            total = int((device / "mem_info_vram_total").read_text())
            free = total - int((device / "mem_info_vram_used").read_text())
            if total >= _SMALLEST_AMD:
                found.append(Gpu(index=len(found), vendor=Vendor.AMD, name="AMD", total=total, free=free))
    return found


def cpus(sys: Path = Path("/sys")) -> int:
    """Processors that this process may use, by its affinity and the quota of its control group."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = (sys / "fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    return allowed


def _visible(found: Iterable[tuple[Gpu, str]]) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES leaves, in its order."""
    listed = list(found)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [gpu for gpu, _ in listed]
    names = [name.strip() for name in chosen.split(",")]
    return [
        gpu
        for name in names
        for gpu, uuid in listed
        if name == str(gpu.index) or (name.startswith("GPU-") and uuid.startswith(name))
    ]


def _run(program: str, *arguments: str) -> str:
    """What the program prints; "" where it is not there or does not answer."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        return subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=_PATIENCE_S, check=True, cwd="/"
        ).stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
