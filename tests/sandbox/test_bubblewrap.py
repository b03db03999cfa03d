"""What only bubblewrap has: being absent, a tree of a system, users of its own."""

import asyncio
import os
from pathlib import Path

import pytest
from outside import SOON, one_inside, out

from qcode_sandbox import BubblewrapSpec, SandboxUnavailable, Source, open_sandbox


async def test_without_the_program_it_says_what_to_install(tree: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap") as caught:
        async with open_sandbox(BubblewrapSpec(source=tree)):
            pass
    assert "\n" not in str(caught.value)


async def test_a_folder_that_is_no_system_is_told(tree: Source, tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="is not the tree of a system"):
        async with open_sandbox(BubblewrapSpec(source=tree, root=tmp_path)):
            pass


async def test_what_bwrap_says_reaches_the_user(tree: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bwrap that may not make namespaces, as on systems that restrict them."""
    program = tmp_path / "bwrap"
    words = "bwrap: setting up uid map: Permission denied"
    await asyncio.to_thread(program.write_text, f"#!/bin/sh\necho '{words}' >&2\nexit 1\n", encoding="utf-8")
    await asyncio.to_thread(tmp_path.chmod, 0o755)
    await asyncio.to_thread(program.chmod, 0o755)
    reachable = Path("/tmp") / f"qcode-test-{os.getpid()}"
    await asyncio.to_thread(reachable.mkdir, mode=0o755)
    await asyncio.to_thread(program.rename, reachable / "bwrap")
    monkeypatch.setenv("PATH", f"{reachable}:{os.environ['PATH']}")
    try:
        with pytest.raises(SandboxUnavailable) as caught:
            async with open_sandbox(BubblewrapSpec(source=tree)):
                pass
    finally:
        await asyncio.to_thread((reachable / "bwrap").unlink)
        await asyncio.to_thread(reachable.rmdir)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_each_sandbox_of_root_has_a_user_of_its_own(tree: Source) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    users = set()
    for _ in range(2):
        async with open_sandbox(BubblewrapSpec(source=tree)) as box:
            call, pid, _ = await one_inside(box)
            users.add((await asyncio.to_thread(Path(f"/proc/{pid}").stat)).st_uid)
            call.cancel()
            await asyncio.wait({call})
            assert await out(box, "id -u; id -un") == "1000\ndev\n"
    assert len(users) == 2
    assert min(users) > 100_000


async def test_an_environment_is_handed_in_and_not_shown_outside(tree: Source) -> None:
    async with open_sandbox(BubblewrapSpec(source=tree, env={"TOKEN": "handed-in-0123"})) as box:
        assert await out(box, "echo $TOKEN") == "handed-in-0123\n"
        shown = await asyncio.to_thread(
            lambda: [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"handed-in-0123" in _bytes(p)]
        )
        assert shown == []
        assert (await box.exec("exit 3", timeout_s=SOON)).exit_code == 3


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
