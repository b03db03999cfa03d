"""From nothing to `--version`, and to the first request that reaches a server; peak memory on the way."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from measuring import ENVIRONMENT, peak_mb, qcode_run, repository
from server import InstantServer

RUNS = 15


async def measure() -> list[str]:
    bare = timed([sys.executable, "-c", "pass"])
    version = timed([str(Path(sys.executable).with_name("qcode")), "--version"])
    floor = await first_request([sys.executable, "-P", str(Path(__file__).with_name("sdk_floor.py"))])
    rows = [
        "| start | median | against |",
        "| --- | --- | --- |",
        f"| `python -c pass` | {1000 * bare:.0f} ms | |",
        f"| `qcode --version` | {1000 * version:.0f} ms | {version / bare:.1f} times bare python (target: under 4) |",
        f"| 25 lines on the openai SDK to their first request | {floor:.2f} s | |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        repo = repository(Path(folder))
        for sandbox in ("none", "docker"):
            seconds = await first_request(qcode_run(repo, sandbox=sandbox))
            rows.append(
                f"| `qcode run --sandbox {sandbox}` to its first request | {seconds:.2f} s "
                f"| {seconds / floor:.2f} times the SDK (target: under 0.5 s, aim 0.33 s) |"
            )
        for sandbox in ("none", "docker"):
            async with InstantServer(steps=3) as server:
                peak = await peak_mb([*qcode_run(repo, sandbox=sandbox), "--base-url", server.url])
            rows.append(f"| peak memory of that run, --sandbox {sandbox} | {peak:.0f} MB | target: under 120 MB |")
    return rows


def timed(command: Sequence[str]) -> float:
    """Median seconds of a command."""
    times = []
    for _ in range(RUNS + 1):
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        times.append(time.monotonic() - started)
    return statistics.median(times[1:])


async def first_request(command: Sequence[str]) -> float:
    """Median seconds from starting the command to its first request's arrival."""
    times = []
    for _ in range(RUNS + 1):
        async with InstantServer(steps=0) as server:
            address = [server.url] if "sdk_floor" in command[-1] else ["--base-url", server.url]
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command, *address, stdout=subprocess.DEVNULL, env=ENVIRONMENT
            )
            if await process.wait():
                raise RuntimeError(f"{command} failed")
            times.append(server.arrivals[0] - started)
    return statistics.median(times[1:])
