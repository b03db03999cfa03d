"""What the benchmarks share: a repository to run in, a command line, a process's peak memory."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As a user has it: compiled modules are kept, so the first run of each command is a warm-up."""


def repository(folder: Path) -> Path:
    """A small git repository with a task file."""
    repo = folder / "repo"
    repo.mkdir()
    (repo / "task.md").write_text("Say hi.\n", encoding="utf-8")
    (repo / "code.py").write_text("print('hi')\n" * 50, encoding="utf-8")
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", str(repo), *arguments], check=True)
    return repo


def qcode_run(repo: Path, *, sandbox: str) -> list[str]:
    """The command line of a headless run, without its server."""
    return [
        str(Path(sys.executable).with_name("qcode")), "run", "--task", str(repo / "task.md"), "--repo", str(repo),
        "--model", "bench", "--sandbox", sandbox, "--output", "json", "--max-turns", "100",
    ]  # fmt: skip


async def peak_mb(command: Sequence[str]) -> float:
    """The largest resident size of the command's own process, in MB."""
    process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = await asyncio.to_thread(os.wait4, process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    return usage.ru_maxrss / 1024
