"""Sandboxes that are kept ready."""

import asyncio
import contextlib
import os
import signal
import tempfile
from pathlib import Path

import pytest
from outside import jail_spec, out

from qcode_sandbox import HostSpec, Pool, SandboxError, Source

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_each_is_used_once_and_another_is_made(kind: str, tree: Source) -> None:
    names = set()
    async with Pool(jail_spec(kind, tree), size=2) as pool:
        await pool.filled()
        for number in range(3):
            async with pool.take() as box:
                names.add(box.name)
                assert await out(box, "cat a.txt") == "a\n"
                assert await box.patch() == ""
                await out(box, f"echo {number} >a.txt")
    assert len(names) == 3


async def test_more_at_once_than_are_kept(kind: str, tree: Source) -> None:
    async def use(pool: Pool) -> str:
        async with pool.take() as box:
            return await out(box, "echo $HOSTNAME; sleep 0.2; cat a.txt")

    async with Pool(jail_spec(kind, tree), size=1) as pool:
        assert await asyncio.gather(*(use(pool) for _ in range(3))) == ["box\na\n"] * 3


async def test_nothing_is_left_when_it_ends_while_filling(tree: Source) -> None:
    for wait_s in (0.0, 0.03, 0.08):
        async with Pool(jail_spec("bubblewrap", tree), size=3):
            await asyncio.sleep(wait_s)
    assert await asyncio.to_thread(own_bwraps) == []
    assert await asyncio.to_thread(own_folders) == []


async def test_one_that_died_while_it_waited_is_not_handed_out(tree: Source) -> None:
    async with Pool(jail_spec("bubblewrap", tree), size=1) as pool:
        await pool.filled()
        waiting = await asyncio.to_thread(own_bwraps)
        assert len(waiting) == 1
        os.kill(waiting[0], signal.SIGKILL)
        async with pool.take() as box:
            assert await out(box, "cat a.txt") == "a\n"
            assert waiting[0] not in await asyncio.to_thread(own_bwraps)


def own_folders() -> list[str]:
    found = []
    for folder in Path(tempfile.gettempdir()).glob("qcode-box-*"):
        with contextlib.suppress(OSError):
            if (folder / "owner").read_text(encoding="utf-8").startswith(f"{os.getpid()}/"):
                found.append(folder.name)
    return found


def own_bwraps() -> list[int]:
    """bwrap processes that this process started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, rest = (process / "stat").read_text(encoding="utf-8").rpartition(")")
            state, parent = rest.split()[:2]
            if name.endswith("(bwrap") and state != "Z" and int(parent) == os.getpid():
                found.append(int(process.name))
    return found


async def test_a_failure_reaches_who_takes(tmp_path: Path) -> None:
    async with Pool(HostSpec(source=Source(tmp_path, ["missing"])), size=1) as pool:
        with pytest.raises(SandboxError, match="missing"):
            async with pool.take():
                pass
