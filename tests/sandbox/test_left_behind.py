"""Nothing is left of a sandbox, however its owner ended (features 23, 25, 29)."""

import asyncio
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from outside import SOON, gone, jail_spec, mark, one_inside, out, processes, same_namespace
from waiting import come_about

from qcode_sandbox import AllowedHost, Gate, HostSpec, SandboxLost, SandboxSpec, Source, open_sandbox
from qcode_sandbox.folder import Folder, reap_stale
from qcode_sandbox.owner import Owner

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWNER = """
import asyncio, sys
from pathlib import Path
from qcode_sandbox import AllowedHost, BubblewrapSpec, DockerSpec, Gate, Source, open_sandbox
kind, root, word = sys.argv[1:]
async def main():
    made = BubblewrapSpec if kind == "bubblewrap" else DockerSpec
    print("begun", flush=True)
    gate = Gate([AllowedHost("index.test")])
    async with open_sandbox(made(source=Source(Path(root), ["a.txt"]), gate=gate)) as box:
        print(box.name, flush=True)
        await box.exec(f"(setsid nohup sleep {word} >/dev/null 2>&1 &); echo more >>a.txt", timeout_s=99)
        running = asyncio.ensure_future(box.exec(["sleep", word], timeout_s=1000))
        print("busy", flush=True)
        while True:
            await box.patch()
asyncio.run(main())
"""


async def owner(kind: str, tree: Source, word: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", OWNER, kind, str(tree.root), word, stdout=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize(("number", "delay_s"), [
    *((signal.SIGKILL, delay) for delay in (0.05, 0.3, 0.8)), (signal.SIGTERM, 0.1),
])  # fmt: skip
async def test_a_start_that_was_killed_leaves_nothing(kind: str, tree: Source, number: int, delay_s: float) -> None:
    word = mark()
    dead = await owner(kind, tree, word)
    assert dead.stdout
    assert await dead.stdout.readline() == b"begun\n"
    await asyncio.sleep(delay_s)
    dead.send_signal(number)
    await dead.wait()
    async with asyncio.timeout(SOON):
        # A reaper removes what was left. What the engine was still making when it was killed is the next one's.
        while True:
            async with open_sandbox(jail_spec(kind, tree)):
                assert await gone(word)
            if not await asyncio.to_thread(owned_by, dead.pid):
                break


async def nothing_of(pid: int) -> bool:
    """Once nothing says that it is this process's."""
    await come_about(lambda: not owned_by(pid), f"there is still something of {pid}")
    return True


def owned_by(pid: int) -> list[str]:
    """Folders and containers that say that they are a process's."""
    found = []
    for path in Path(tempfile.gettempdir()).glob("qcode-box-*"):
        try:
            if (path / "owner").read_text(encoding="utf-8").startswith(f"{pid}/"):
                found.append(path.name)
        except OSError:
            continue
    command = ["docker", "ps", "-a", "--filter", "label=qcode=1", "--format", '{{.ID}} {{.Label "qcode.owner"}}']
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    return found + [line for line in listed.splitlines() if line.split()[1].startswith(f"{pid}/")]


async def test_a_run_that_was_killed_leaves_nothing_and_another_goes_on(kind: str, tree: Source) -> None:
    word = mark()
    async with open_sandbox(jail_spec(kind, tree, gate=Gate([AllowedHost("index.test")]))) as living:
        dead = await owner(kind, tree, word)
        assert dead.stdout
        for line in (b"begun\n", None, b"busy\n"):
            said = await dead.stdout.readline()
            assert line is None or said == line
        await come_about(lambda: processes(word), "nothing runs inside")
        assert await asyncio.to_thread(owned_by, dead.pid)
        dead.send_signal(signal.SIGKILL)
        await dead.wait()
        assert await gone(word), "what ran inside ends with its owner, without anybody's help"
        async with open_sandbox(jail_spec(kind, tree)):
            pass
        assert await nothing_of(dead.pid)
        assert await out(living, "echo alive") == "alive\n"
        assert await asyncio.to_thread(owned_by, os.getpid())
    assert not await asyncio.to_thread(owned_by, os.getpid())


def groups_of(name: str) -> list[Path]:
    """Control groups of a bubblewrap sandbox."""
    return list(Path("/sys/fs/cgroup").rglob(name.replace("bubblewrap:", "qcode-box-")))


async def test_its_control_groups_go_too_though_its_owner_was_in_another_group(tree: Source) -> None:
    elsewhere, word = Path("/sys/fs/cgroup/memory") / f"qcode-test-{mark()}", mark()
    try:
        await asyncio.to_thread(elsewhere.mkdir)
    except OSError:
        pytest.skip("no control group of version 1 can be made here")
    try:
        enter = 'echo 0 >"$0" && exec "$@"'
        dead = await asyncio.create_subprocess_exec(
            "sh", "-c", enter, str(elsewhere / "cgroup.procs"),
            sys.executable, "-P", "-c", OWNER, "bubblewrap", str(tree.root), word, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert dead.stdout
        assert await dead.stdout.readline() == b"begun\n"
        name = (await dead.stdout.readline()).decode().strip()
        await come_about(lambda: processes(word), "nothing runs inside")
        assert any(elsewhere in group.parents for group in await asyncio.to_thread(groups_of, name))
        dead.send_signal(signal.SIGKILL)
        await dead.wait()
        await asyncio.to_thread(reap_stale)
        assert await asyncio.to_thread(groups_of, name) == []
        assert await nothing_of(dead.pid)
    finally:
        await come_about(lambda: not (elsewhere / "cgroup.procs").read_text(encoding="ascii"))
        await asyncio.to_thread(elsewhere.rmdir)


async def test_what_runs_in_its_groups_without_its_mark_is_ended_with_them(tree: Source) -> None:
    async with open_sandbox(jail_spec("bubblewrap", tree)) as box:
        groups = await asyncio.to_thread(groups_of, box.name)
        if not groups:
            pytest.skip("no control group can be made here")
        stranger = await asyncio.create_subprocess_exec("sleep", mark())
        await asyncio.to_thread((groups[0] / "cgroup.procs").write_text, f"{stranger.pid}", encoding="ascii")
    assert await stranger.wait() == -signal.SIGKILL
    assert await asyncio.to_thread(groups_of, box.name) == []


async def test_a_first_process_that_is_killed_from_outside_is_told(tree: Source) -> None:
    async with open_sandbox(jail_spec("bubblewrap", tree)) as box:
        call, pid, word = await one_inside(box)
        first = await asyncio.to_thread(first_of, pid)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(SandboxLost, match="killed from outside"):
            await call
        for use in (box.exec("true", timeout_s=9), box.shell("true", timeout_s=9), box.read("a.txt"), box.patch()):
            with pytest.raises(SandboxLost):
                await use
    assert await gone(word)


def first_of(pid: int) -> int:
    """Number 1 of the process namespace that a process is in."""
    for other in same_namespace(pid):
        status = Path(f"/proc/{other}/status").read_text(encoding="utf-8")
        if next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == "1":
            return other
    raise AssertionError("it has no first process")


@pytest.mark.parametrize(
    ("changes", "age_s", "left"),
    [({"boot": "another"}, 0, False), ({"namespace": "another"}, 0, True), ({"namespace": "another"}, 200_000, False),
     ({}, 200_000, True), (None, 0, True), (None, 200_000, False)],
)  # fmt: skip
async def test_a_folder_is_removed_when_its_owner_is_surely_gone_or_its_lease_is_over(
    changes: dict[str, str] | None, age_s: int, left: bool
) -> None:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="qcode-box-"))
    if changes is not None:
        owner = dataclasses.replace(Owner.current(), **changes)
        await asyncio.to_thread((folder / "owner").write_text, f"{owner.text} 5", encoding="utf-8")
    then = time.time() - age_s
    os.utime(folder, (then, then))
    try:
        await asyncio.to_thread(reap_stale)
        assert await asyncio.to_thread(folder.exists) == left
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def test_the_lease_of_a_folder_is_not_over_while_its_owner_lives_in_another_namespace() -> None:
    folder = await asyncio.to_thread(Folder.make)
    elsewhere = dataclasses.replace(Owner.current(), namespace="another")
    await asyncio.to_thread((folder.root / "owner").write_text, f"{elsewhere.text} 5", encoding="utf-8")
    then = time.time() - 200_000
    try:
        os.utime(folder.root, (then, then))
        await asyncio.to_thread(reap_stale)
        assert await asyncio.to_thread(folder.root.exists)
    finally:
        await asyncio.to_thread(folder.remove)
    assert not await asyncio.to_thread(folder.root.exists)


async def test_a_cancelled_opening_leaves_no_folder(tree: Source, tmp_path: Path) -> None:
    names = [f"f{number}.bin" for number in range(300)]
    for name in names:
        await asyncio.to_thread((tmp_path / name).write_bytes, os.urandom(2000))
    source = Source(tmp_path, names)
    for spec in (HostSpec(source=source), jail_spec("bubblewrap", source)):
        for delay_s in (0.02, 0.06, 0.1, 0.14, 0.18, 0.25):

            async def use(spec: SandboxSpec = spec) -> None:
                async with open_sandbox(spec):
                    await asyncio.sleep(60)

            task = asyncio.ensure_future(use())
            await asyncio.sleep(delay_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(owned_by, os.getpid()) == []
    assert await asyncio.to_thread(halves) == []


def halves() -> list[str]:
    """New folders that lost their mark and still hold something."""
    found = [path.parent for path in Path(tempfile.gettempdir()).glob("qcode-box-*/base.git")]
    since = time.time() - 60
    return [path.name for path in found if not (path / "owner").exists() and path.stat().st_mtime > since]
