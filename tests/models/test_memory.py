from pathlib import Path

import pytest

from qcode.models.choose import candidates
from qcode.models.memory import Fit, Memory, bytes_needed, detect_memory, fit
from qcode.models.registry import find, load_registry

GB = 10**9


@pytest.mark.parametrize(
    ("ram", "gpu", "best"),
    [
        (1 * GB, 0, None),
        (2 * GB, 0, "qwen2.5-coder-0.5b"),
        (4 * GB, 0, "qwen2.5-coder-1.5b"),
        (16 * GB, 0, "qwen3-4b"),
        (24 * GB, 0, "qwen3-coder-30b-a3b"),
        (64 * GB, 0, "qwen3-coder-next"),
        (512 * GB, 0, "qwen3-coder-next"),
        (16 * GB, 12 * GB, "qwen3-8b"),
        (16 * GB, 24 * GB, "qwen3-coder-30b-a3b"),
        (512 * GB, 640 * GB, "qwen3-coder-480b-a35b"),
    ],
)
def test_the_best_model_for_a_memory(ram: int, gpu: int, best: str | None) -> None:
    found = candidates(load_registry(), Memory(ram=ram, gpu=gpu))
    assert (found[0].name if found else None) == best


def test_a_large_dense_model_is_slow_without_a_gpu() -> None:
    card = find("qwen3-14b")
    assert fit(card, Memory(ram=64 * GB)) is Fit.SLOW
    assert fit(card, Memory(ram=64 * GB, gpu=24 * GB)) is Fit.GPU
    assert fit(card, Memory(ram=8 * GB)) is Fit.NO


def test_the_need_grows_with_the_session_up_to_the_window() -> None:
    card = find("qwen3-4b")
    per_token = card.architecture.kv_bytes_per_token
    assert bytes_needed(card, 2000) - bytes_needed(card, 1000) == 1000 * per_token
    assert bytes_needed(card, 10**6) == bytes_needed(card, card.context.native)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    write(tmp_path / "proc/meminfo", "MemTotal: 32000000 kB\nMemAvailable:   16000000 kB\n")
    return tmp_path / "proc"


def test_what_the_kernel_says_is_available(tmp_path: Path, proc: Path) -> None:
    assert detect_memory(proc=proc, cgroup=tmp_path / "none").ram == 16_000_000 * 1024


def test_the_tightest_control_group_of_version_2_decides(tmp_path: Path, proc: Path) -> None:
    write(proc / "self/cgroup", "0::/outer/inner\n")
    for name, limit in (("outer", "4000000000"), ("outer/inner", "max")):
        write(tmp_path / "cg" / name / "memory.max", limit)
        write(tmp_path / "cg" / name / "memory.current", "1500000000")
        write(tmp_path / "cg" / name / "memory.stat", "anon 1000\ninactive_file 500000000\n")
    assert detect_memory(proc=proc, cgroup=tmp_path / "cg").ram == 3_000_000_000


def test_a_limit_of_version_1_decides_also_where_the_path_is_the_hosts(tmp_path: Path, proc: Path) -> None:
    write(proc / "self/cgroup", "5:cpu:/x\n3:memory:/docker/abc\n")
    write(tmp_path / "cg/memory/memory.limit_in_bytes", "2000000000")
    write(tmp_path / "cg/memory/memory.usage_in_bytes", "600000000")
    write(tmp_path / "cg/memory/memory.stat", "total_inactive_file 100000000\n")
    assert detect_memory(proc=proc, cgroup=tmp_path / "cg").ram == 1_500_000_000


def test_the_memory_of_this_machine_is_found() -> None:
    assert detect_memory().ram > 10**8
