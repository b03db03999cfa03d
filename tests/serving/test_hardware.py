"""What nvidia-smi, rocm-smi and the kernel say."""

from pathlib import Path

import pytest

from qcode.errors import ConfigError
from qcode.serving.hardware import GIB, amd_gpus, cpus, described, detect, kernel_gpus, nvidia_gpus

NVIDIA = """\
0, GPU-5a2d6f1e-aaaa, NVIDIA H100 80GB HBM3, 81559, 81008
1, GPU-5a2d6f1e-bbbb, NVIDIA H100 80GB HBM3, 81559, 1024
2, GPU-5a2d6f1e-cccc, NVIDIA GB10, [N/A], [N/A]
"""
AMD = """{"card0": {"VRAM Total Memory (B)": "206141652992", "VRAM Total Used Memory (B)": "296194048",
"Card Series": "AMD Instinct MI300X"}, "system": {"Driver version": "6.8.5"}}"""


def test_nvidia() -> None:
    (first, uuid), (second, _) = nvidia_gpus(NVIDIA)
    assert (first.name, first.total, uuid) == ("NVIDIA H100 80GB HBM3", 81559 * 2**20, "GPU-5a2d6f1e-aaaa")
    assert second.free == 2**30
    assert nvidia_gpus("No devices were found\n") == []


def test_amd() -> None:
    [gpu] = amd_gpus(AMD)
    assert (gpu.name, gpu.total - gpu.free) == ("AMD Instinct MI300X", 296194048)
    assert amd_gpus("") == amd_gpus("[]") == amd_gpus('{"card0": 1}') == []


def test_the_kernel_knows_amds_gpus(tmp_path: Path) -> None:
    for index, (vendor, total) in enumerate([("0x1002", 24 * GIB), ("0x1002", GIB // 2), ("0x10de", 24 * GIB)]):
        device = tmp_path / f"class/drm/card{index}/device"
        device.mkdir(parents=True)
        (device / "vendor").write_text(vendor + "\n")
        (device / "mem_info_vram_total").write_text(f"{total}\n")
        (device / "mem_info_vram_used").write_text("1000\n")
    [gpu] = kernel_gpus(tmp_path)
    assert gpu.free == 24 * GIB - 1000


def test_a_gpu_without_its_tool_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    (tmp_path / "meminfo").write_text("MemAvailable: 1024 kB\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    machine = detect(proc=tmp_path, sys=tmp_path)
    assert (machine.gpus, machine.ram) == ((), 2**20)
    assert "nvidia-smi does not answer" in machine.notes[0]


def test_visible_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{NVIDIA}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [gpu.index for gpu in detect().gpus] == [0, 1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [gpu.index for gpu in detect().gpus] == [1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5a2d6f1e-b")
    assert [gpu.index for gpu in detect().gpus] == [1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert detect().gpus == ()


def test_a_quota_of_processors(tmp_path: Path) -> None:
    (tmp_path / "fs/cgroup").mkdir(parents=True)
    (tmp_path / "fs/cgroup/cpu.max").write_text("100000 100000\n")
    assert cpus(tmp_path) == 1
    (tmp_path / "fs/cgroup/cpu.max").write_text("max 100000\n")
    assert cpus(tmp_path) >= 1


def test_a_machine_in_words() -> None:
    machine = described("8x80,1024")
    assert (len(machine.gpus), machine.gpus[0].total, machine.ram) == (8, 80 * GIB, 1024 * GIB)
    assert described("0,16").gpus == ()
    for wrong in ("8", "x80", "8x", "8x80,", "0x80", "8x0", "a lot"):
        with pytest.raises(ConfigError, match="--machine must look like 8x80"):
            described(wrong)
