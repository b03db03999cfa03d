"""What a step in a sandbox costs: `python -P benchmarks/sandbox.py [RUNS]` prints medians in milliseconds."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from qcode_sandbox import DockerSpec, HostSpec, Sandbox, SandboxSpec, Source, open_sandbox

FILES = 50
OPENINGS = 5


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def docker_exec(sandbox: Sandbox) -> None:
    container = sandbox.name.replace("docker:", "qcode-")
    run = ["docker", "exec", container, "echo", "hi"]
    await asyncio.to_thread(subprocess.run, run, check=True, capture_output=True)


async def measure(kind: str, spec: SandboxSpec, runs: int) -> None:
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for _ in range(OPENINGS):
        context = open_sandbox(spec)
        began = time.perf_counter()
        async with context as box:
            note("open", (time.perf_counter() - began) * 1000)
            steps: dict[str, Callable[[], Awaitable[object]]] = {
                "shell: echo hi": lambda box=box: box.shell("echo hi", timeout_s=60),
                "exec: echo hi": lambda box=box: box.exec("echo hi", timeout_s=60),
                "read 4 kB": lambda box=box: box.read("f0.txt"),
                "write 4 kB": lambda box=box: box.write("f0.txt", b"x" * 4096),
            }
            for name, step in steps.items():
                for _ in range(runs // OPENINGS):
                    note(name, await timed(step))
            note("patch", await timed(box.patch))
            if kind == "docker":
                for _ in range(5):
                    note("docker exec: echo hi", await timed(lambda box=box: docker_exec(box)))
            began = time.perf_counter()
        note("close", (time.perf_counter() - began) * 1000)
    for name, values in found.items():
        print(f"{kind:7} {name:22} {statistics.median(values):9.2f} ms  (n={len(values)}, best {min(values):.2f})")


async def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(FILES):
            (root / f"f{number}.txt").write_text("0123456789abcde\n" * 256, encoding="utf-8")
        source = Source(root, [f"f{number}.txt" for number in range(FILES)])
        await measure("host", HostSpec(source=source), runs)
        await measure("docker", DockerSpec(source=source), runs)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
