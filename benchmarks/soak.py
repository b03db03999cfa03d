"""`make soak`: many steps in one sandbox of each kind; fails when memory, descriptors, processes or disk grow.

python -P benchmarks/soak.py [STEPS]. What is compared is the state after a tenth of the steps and after all.
"""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from qcode_sandbox import BubblewrapSpec, DockerSpec, Sandbox, Source, open_sandbox

GROWTH_MB = {"docker": 8.0, "bubblewrap": 8.0}
"""What this process's memory may grow by: an interpreter's arenas move by a few MB."""


@dataclass(frozen=True)
class State:
    memory_mb: float
    descriptors: int
    threads: int
    processes_inside: int
    files_inside_kb: int
    memory_inside_mb: float


LOOK = """
cd /; set -- /proc/[0-9]*; echo $#
df -k --output=used /workspace /tmp /home/dev /qcode/scratch | tail -n +2; echo -
cat /sys/fs/cgroup/memory/memory.usage_in_bytes /sys/fs/cgroup/memory.current 2>/dev/null
"""


async def state(box: Sandbox) -> State:
    gc.collect()
    counted, _, memory = (await box.exec(LOOK, timeout_s=60)).output.partition("-\n")
    processes, *used = map(int, counted.split())
    return State(*own(), processes, sum(used), round(int(memory or outside(box.name)) / 1e6, 1))


def own() -> tuple[float, int, int]:
    """Memory in MB, descriptors and threads of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    descriptors, threads = (len(list(Path("/proc/self", name).iterdir())) for name in ("fd", "task"))
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1), descriptors, threads


def groups(name: str) -> list[Path]:
    """Control groups of a bubblewrap sandbox."""
    return list(Path("/sys/fs/cgroup").rglob(name.replace("bubblewrap:", "qcode-box-")))


def outside(name: str) -> str:
    """What the control group of a bubblewrap sandbox holds, as the host sees it; 0 where there is none."""
    counters = [group / file for group in groups(name) for file in ("memory.usage_in_bytes", "memory.current")]
    return next((path.read_text(encoding="ascii") for path in counters if path.exists()), "0")


async def step(box: Sandbox, number: int) -> None:
    match number % 20:
        case 0:
            await box.write("f0.txt", b"%d\n" % number * 500)
        case 5:
            assert await box.read("f1.txt")
        case 10:
            result = await box.exec(f"echo {number}; seq 1000 | tail -1", timeout_s=60)
            assert result.output == f"{number}\n1000\n"
        case 15:
            await box.exec("sleep 100 & python3 -c 'print(1)'", timeout_s=60)
        case _:
            assert (await box.shell(f"echo {number}; x=$((x+1))", timeout_s=60)).output == f"{number}\n"
    if number % 500 == 499:
        assert "f0.txt" in await box.patch()
    if number % 1000 == 999:
        assert (await box.exec("(setsid sleep 500 &); sleep 500", timeout_s=0.2)).timed_out


def left() -> list[str]:
    """What is on this machine of this process's sandboxes."""
    mine = f"{os.getpid()}/"
    found = []
    for path in Path(tempfile.gettempdir()).glob("qcode-box-*"):
        with contextlib.suppress(OSError):
            if (path / "owner").read_text(encoding="utf-8").startswith(mine):
                found.append(str(path))
    for kind in ("container", "volume", "network"):
        everything = ["--all"] if kind == "container" else []
        form = '{{.Label "qcode.owner"}}'
        command = ["docker", kind, "ls", *everything, "--filter", "label=qcode=1", "--format", form]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found += [line for line in listed.splitlines() if line.startswith(mine)]
    return found


async def soak(kind: str, spec: BubblewrapSpec | DockerSpec, steps: int) -> bool:
    began = time.monotonic()
    async with open_sandbox(spec) as box:
        assert await asyncio.to_thread(left), "what is looked for after can be seen"
        for number in range(steps):
            await step(box, number)
            if number == steps // 10:
                early = await state(box)
        late = await state(box)
    spent = time.monotonic() - began
    gone = not await asyncio.to_thread(left) and not await asyncio.to_thread(groups, box.name)
    print(f"{kind}: {steps} steps in {spent:.0f} s; after {steps // 10}: {early}; after all: {late}; all gone: {gone}")
    return (
        gone
        and late.memory_mb - early.memory_mb < GROWTH_MB[kind]
        and late.descriptors <= early.descriptors
        and late.processes_inside <= early.processes_inside + 2  # one that is just being killed
        and late.files_inside_kb < early.files_inside_kb + 1000
        and late.memory_inside_mb < early.memory_inside_mb + 50
    )


async def main(steps: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        names = [f"f{number}.txt" for number in range(20)]
        for name in names:
            (Path(folder) / name).write_text("0123456789\n" * 100, encoding="utf-8")
        source = Source(Path(folder), names)
        held = [
            await soak("bubblewrap", BubblewrapSpec(source=source), steps),
            await soak("docker", DockerSpec(source=source), steps),
        ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)))
