"""From the start of a coding agent to its first request, qcode beside its peers in Python.

    python benchmarks/peers.py [RUNS]

Each is run headless with one small task in the same repository, on a server of this process that answers at once; all
of it in a network namespace that has nothing but the loopback. The others are installed into build/ first, in versions
of the definitions that `qcode-evals --agent` ships (Mistral Vibe also in its last one in Python). The first run of each
is a warm-up.
"""

import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from string import Template

import vibe
from measuring import ENVIRONMENT, qcode_run, repository
from server import InstantServer

BUILD = Path(__file__).parent.parent / "build"
SHIPPED = ("aider", "mini-swe-agent")
APART = "QCODE_BENCH_APART"
"""Set in the network namespace."""

WAIT_S = 120.0


def main(runs: int) -> None:
    for name in SHIPPED:
        _installed(name)
    for version in vibe.OPTIONS:
        vibe.program(BUILD, version)
    if APART not in os.environ:
        within = 'ip link set lo up && exec "$@"'
        command = ["unshare", "--net", "sh", "-c", within, "sh", sys.executable, __file__, str(runs)]
        os.execvpe(command[0], command, {**os.environ, APART: "1"})
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), runs))


async def measure(folder: Path, runs: int) -> None:
    repo = repository(folder)
    ours = await first_request(qcode_run(repo, sandbox="none"), runs, repo)
    print("| headless, to the first request | median | |\n| --- | --- | --- |")
    print(f"| qcode | {ours:.2f} s | |")
    for name in SHIPPED:
        definition = tomllib.loads(_definition(name))
        values = {
            "agent": str(_installed(name)), "model": "bench", "task": "Say hi.", "task_file": str(repo / "task.md"),
            "turns": "1",
        }  # fmt: skip
        argv = [Template(part).substitute(values) for part in definition["argv"]]
        theirs = await first_request(argv, runs, repo, definition["env"])
        pinned = definition["install"]["pip"][0].replace("==", " ")
        print(f"| {pinned} | {theirs:.2f} s | {theirs / ours:.1f} times ours |")
    for version, options in vibe.OPTIONS.items():
        home = folder / f"vibe-{version}"
        home.mkdir()
        argv = [str(vibe.program(BUILD, version)), "--prompt", "Say hi.", *options, "--output", "text"]
        theirs = await first_request(
            argv, runs, repo, {"VIBE_HOME": str(home), "BENCH_KEY": "none"}, config=vibe.CONFIG
        )
        print(f"| mistral-vibe {version} | {theirs:.2f} s | {theirs / ours:.1f} times ours |")


async def first_request(
    argv: Sequence[str], runs: int, repo: Path, env: dict[str, str] | None = None, *, config: str = ""
) -> float:
    """Median seconds from starting the command to its first request's arrival; then it is ended."""
    times = []
    for _ in range(runs + 1):
        async with InstantServer(steps=0) as server:
            values = {name: Template(value).safe_substitute(base_url=server.url) for name, value in (env or {}).items()}
            if config:
                (Path(values["VIBE_HOME"]) / "config.toml").write_text(config.format(url=server.url), encoding="utf-8")
            command = [*argv, *(["--base-url", server.url] if env is None else [])]
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=repo,
                env=ENVIRONMENT | values,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(server.asked.wait(), WAIT_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if not server.arrivals:
                raise SystemExit(f"{argv[0]} never asked the server")
            times.append(server.arrivals[0] - started)
    return statistics.median(times[1:])


def _definition(name: str) -> str:
    folder = resources.files("qcode_evals.agents.command").joinpath("definitions")
    return folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")


def _installed(name: str) -> Path:
    """The folder of an agent, with its environment in it. Raises: CalledProcessError."""
    folder = BUILD / f"peer-{name}"
    stamp = folder / "ready"
    if not stamp.exists():
        print(f"installing {name} into {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        wanted = tomllib.loads(_definition(name))["install"]["pip"]
        subprocess.run([folder / "venv" / "bin" / "python", "-m", "pip", "install", "-qq", *wanted], check=True)
        stamp.touch()
    return folder


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["5"])[0]))
