"""Folders for what an image is made from: gone with their context, and after a kill with the next one."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from qcode_sandbox.scratch import scratch

_HOLDS = """
import asyncio, sys
from pathlib import Path
from qcode_sandbox.scratch import scratch

async def hold():
    async with scratch(Path(sys.argv[1])) as folder:
        (folder / "tree").mkdir()
        (folder / "tree/file").write_text("x")
        print(folder, flush=True)
        await asyncio.sleep(600)

asyncio.run(hold())
"""


def _age(*folders: Path) -> None:
    hour_ago = time.time() - 3600
    for folder in folders:
        os.utime(folder, (hour_ago, hour_ago))


async def _holder(parent: Path) -> tuple[asyncio.subprocess.Process, Path]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", _HOLDS, str(parent), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    return process, Path((await process.stdout.readline()).decode().strip())


async def test_a_killed_process_s_folder_goes_with_the_next_one_and_a_living_one_s_stays(tmp_path: Path) -> None:
    killed, left = await _holder(tmp_path)
    living, kept = await _holder(tmp_path)
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "file").touch()
    (left / "link").symlink_to(outside)
    linked = tmp_path / "qcode-scratch-link"
    linked.symlink_to(outside)
    try:
        killed.send_signal(signal.SIGKILL)
        await killed.wait()
        _age(kept, outside)
        async with scratch(tmp_path) as new:
            assert left.is_dir(), "so new a folder may be one that is not locked yet"
            assert new.stat().st_mode & 0o077 == 0
        _age(left)
        async with scratch(tmp_path) as new:
            there = await asyncio.to_thread(os.listdir, tmp_path)
            assert sorted(there) == sorted(path.name for path in (kept, outside, linked, new))
        assert (kept / "tree/file").is_file()
        assert (outside / "file").is_file()
    finally:
        living.kill()
        await living.wait()
    assert not new.exists()
