"""What only a container gives: isolation, limits, and that nothing is left behind."""

import asyncio
import dataclasses
import errno
import json
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio
from outside import one_inside
from waiting import PATIENCE_S, come_about

from qcode_sandbox import (
    DockerSpec,
    Sandbox,
    SandboxError,
    SandboxFileError,
    SandboxLost,
    SandboxUnavailable,
    Source,
    open_sandbox,
)
from qcode_sandbox.images import build_image, ensure_image
from qcode_sandbox.owner import Owner

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

SOON = PATIENCE_S


def one_file(root: Path) -> Source:
    (root / "a.txt").write_text("a\n", encoding="utf-8")
    return Source(root, ["a.txt"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return one_file(tmp_path_factory.mktemp("repository"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(source: Source) -> AsyncIterator[Sandbox]:
    async with open_sandbox(DockerSpec(source=source, memory_mb=256, disk_mb=48, tmp_mb=32, pids=64)) as sandbox:
        yield sandbox


async def out(box: Sandbox, script: str) -> str:
    result = await box.exec(script, timeout_s=SOON)
    assert result.exit_code == 0, result.output
    return result.output


def containers(**filters: str) -> set[str]:
    client = docker.APIClient(version="auto")
    try:
        return {found["Names"][0].lstrip("/") for found in client.containers(all=True, filters=filters)}
    finally:
        client.close()


def remove(container: str) -> None:
    client = docker.APIClient(version="auto")
    try:
        client.remove_container(container, force=True)
    finally:
        client.close()


async def gone(name: str) -> bool:
    """Once there is no such container."""
    await come_about(lambda: name not in containers(), f"{name} is still there")
    return True


def container_of(box: Sandbox) -> str:
    return box.name.replace("docker:", "qcode-")


# --- isolation


async def test_commands_have_no_privilege(box: Sandbox) -> None:
    status = dict(line.split(":", 1) for line in (await out(box, "cat /proc/self/status")).splitlines())
    assert status["Uid"].split() == ["1000"] * 4
    assert {status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert await out(box, "id -un; hostname") == "dev\nbox\n"


@pytest.mark.parametrize(
    "attack",
    [
        "touch /x", "echo x >>/etc/passwd", "mknod d c 1 3", "mount -t tmpfs t /mnt", "unshare -Ur true",
        "su -c true", "kill -9 1; false", "dmesg", "cat /proc/1/root/etc/shadow", "echo x >/qcode/x",
        "rm -rf /qcode/base.git", "echo 1 >/proc/sys/kernel/sysrq", "ls /var/run/docker.sock /run/docker.sock",
        "chmod u+s /bin/bash", "echo c >/proc/sysrq-trigger",
    ],
)  # fmt: skip
async def test_what_an_intruder_tries_is_refused(box: Sandbox, attack: str) -> None:
    assert (await box.exec(attack, timeout_s=SOON)).exit_code != 0
    assert await out(box, "echo fine") == "fine\n"


async def test_there_is_no_network(box: Sandbox) -> None:
    assert await out(box, "ls /sys/class/net") == "lo\n"
    listener = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "172.17.0.1", "localhost"):
            result = await box.exec(f"exec 3<>/dev/tcp/{host}/{port}", timeout_s=SOON)
            assert result.exit_code != 0, host
    assert (await box.exec(["getent", "hosts", "host.invalid"], timeout_s=SOON)).exit_code != 0


# --- limits: each is small, is seen to hold, and its excess is bounded


async def test_number_of_processes_is_limited_and_the_box_recovers(box: Sandbox) -> None:
    assert int(await out(box, "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true")) == 64
    bomb = "end=$((SECONDS+4)); f() { ((SECONDS < end)) || exit; f & f & wait; }; f 2>/dev/null"
    result = await box.exec(bomb, timeout_s=2.0)
    assert result.duration_s < SOON
    assert await out(box, "echo fine") == "fine\n"
    assert (await box.shell("echo fine", timeout_s=SOON)).output.endswith("fine\n")
    assert int(await out(box, "ps ax | wc -l")) < 30


async def test_memory_is_limited_and_the_box_lives(box: Sandbox) -> None:
    hungry = "python3 -c 'b = bytearray(400_000_000); print(len(b))'"
    for run in (box.exec, box.shell):
        result = await run(f"{hungry}; echo after", timeout_s=SOON)
        assert result.oom_killed
        assert "400000000" not in result.output
        calm = await run("echo fine", timeout_s=SOON)
        assert (calm.output, calm.oom_killed) == ("fine\n", False)


@pytest.mark.parametrize(("place", "limit_mb"), [("/workspace", 48), ("/tmp", 32), ("/home/dev", 32), ("/dev/shm", 64)])
async def test_disk_is_limited(box: Sandbox, place: str, limit_mb: int) -> None:
    result = await box.exec(f"head -c 100M /dev/zero >{place}/fill; stat -c %s {place}/fill", timeout_s=SOON)
    assert "No space left on device" in result.output
    assert int(result.output.split()[-1]) <= limit_mb << 20
    await out(box, f"rm {place}/fill")


async def test_write_to_a_full_disk_leaves_the_old_file(box: Sandbox) -> None:
    await box.write("kept", b"old")
    await box.exec("head -c 100M /dev/zero >fill", timeout_s=SOON)
    with pytest.raises(SandboxFileError) as caught:
        await box.write("kept", b"x" * 5_000_000)
    assert caught.value.errno == errno.ENOSPC
    await out(box, "rm fill")
    assert await box.read("kept") == b"old"
    assert (await out(box, "ls -A")).split() == [".git", "a.txt", "kept"]


async def test_processor_is_limited(source: Source) -> None:
    async with open_sandbox(DockerSpec(source=source, cpus=0.25)) as box:
        text = await out(box, "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; true")
        assert text.split()[0] == "25000"


async def test_orphans_are_reaped(box: Sandbox) -> None:
    await out(box, "for i in {1..20}; do (setsid sh -c 'exit 0' &); done")

    async def reaped() -> bool:
        return "Z" not in {line[0] for line in (await out(box, "ps axo stat=")).splitlines()}

    await come_about(reaped, "orphans are left as zombies")


async def test_killing_everything_inside_is_mended(box: Sandbox) -> None:
    await box.shell("cd /tmp", timeout_s=SOON)
    result = await box.exec("kill -9 -1", timeout_s=SOON)
    assert result.exit_code == 137
    assert (await box.shell("pwd", timeout_s=SOON)).output.endswith("/tmp\n")
    assert await out(box, "echo fine") == "fine\n"


# --- nothing is left behind


async def test_container_is_gone_after_the_context(source: Source) -> None:
    async with open_sandbox(DockerSpec(source=source, session="s1")) as box:
        name = container_of(box)
        assert name in await asyncio.to_thread(containers, label="qcode.session=s1")
    assert name not in await asyncio.to_thread(containers)


async def test_container_is_gone_after_an_exception(source: Source) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_sandbox(DockerSpec(source=source)) as box:
            name = container_of(box)
            await box.exec("sleep 100 & setsid sleep 100 &", timeout_s=SOON)
            raise ZeroDivisionError
    assert name not in await asyncio.to_thread(containers)


@pytest.mark.parametrize("after_s", [0.02, 0.1, 0.2, 0.35, 0.5, 0.7])
async def test_cancelled_opening_leaves_nothing(source: Source, after_s: float) -> None:
    session = uuid.uuid4().hex

    async def work() -> None:
        async with open_sandbox(DockerSpec(source=source, session=session)) as box:
            await box.exec("sleep 100", timeout_s=100)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(after_s)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(containers, label=f"qcode.session={session}") == set()


KILLED = """
import asyncio, sys
from pathlib import Path
from qcode_sandbox import DockerSpec, Source, open_sandbox
async def main():
    async with open_sandbox(DockerSpec(source=Source(Path(sys.argv[1]), ["a.txt"]))) as box:
        print(box.name, flush=True)
        await box.exec("sleep 1000", timeout_s=1000)
asyncio.run(main())
"""


async def test_kill_9_of_the_owner_ends_its_container(source: Source) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", KILLED, str(source.root), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    name = (await process.stdout.readline()).decode().strip().replace("docker:", "qcode-")
    assert name in await asyncio.to_thread(containers)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert await gone(name)


OWNER = "from qcode_sandbox.owner import Owner; print(Owner.current().text, flush=True); input()"


async def an_owner() -> tuple[asyncio.subprocess.Process, str]:
    """A process, and what it writes on its containers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", OWNER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    return process, (await process.stdout.readline()).decode().strip()


async def test_reaper_removes_what_a_killed_run_left_and_nothing_else(source: Source) -> None:
    dead, dead_owner = await an_owner()
    living, living_owner = await an_owner()
    client = docker.APIClient(version="auto")
    image = await ensure_image("qcode/base")
    made = {}
    try:
        for label, text in (("dead", dead_owner), ("living", living_owner)):
            made[label] = client.create_container(
                image,
                ["sleep", "600"],
                labels={"qcode": "1", "qcode.owner": text},
                name=f"qcode-test-{uuid.uuid4().hex}",
            )["Id"]
            client.start(made[label])
        # Only now: the sandboxes of other sessions on this machine look for what was left too.
        dead.kill()
        await dead.wait()
        async with open_sandbox(DockerSpec(source=source)):
            there = {found["Id"] for found in client.containers(all=True)}
        assert made["dead"] not in there
        assert made["living"] in there
    finally:
        living.terminate()
        await living.wait()
        if "living" in made:
            client.remove_container(made["living"], force=True)
        client.close()


async def test_a_lease_that_is_over_counts_only_for_what_has_ended(source: Source) -> None:
    elsewhere = dataclasses.replace(Owner.current(), machine="another")
    client = docker.APIClient(version="auto")
    image = await ensure_image("qcode/base")
    marks = {"qcode": "1", "qcode.owner": elsewhere.text, "qcode.lease": str(int(time.time()) - 5)}
    name = f"qcode-test-{uuid.uuid4().hex}"
    running = client.create_container(image, ["sleep", "600"], labels=marks, name=name)["Id"]
    try:
        client.start(running)
        ended = client.create_container(image, ["true"], labels=marks, name=f"{name}-ended")["Id"]
        async with open_sandbox(DockerSpec(source=source)):
            there = {found["Id"] for found in client.containers(all=True)}
        assert running in there
        assert ended not in there
    finally:
        client.remove_container(running, force=True)
        client.close()


# --- what goes wrong


async def test_removal_from_outside_is_told(source: Source) -> None:
    async with open_sandbox(DockerSpec(source=source)) as box:
        call, _, _ = await one_inside(box)
        await asyncio.to_thread(remove, container_of(box))
        with pytest.raises(SandboxLost, match="removed"):
            await call
        for use in (box.exec("true", timeout_s=9), box.shell("true", timeout_s=9), box.read("a.txt"), box.patch()):
            with pytest.raises(SandboxLost):
                await use


async def test_engine_that_stops_is_told(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is reached through a relay of ours, which then goes away as an engine would."""
    relays: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.add(writer)
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection("/var/run/docker.sock")
        await asyncio.gather(pump(reader, engine_writer), pump(engine_reader, writer), return_exceptions=True)
        for end in (writer, engine_writer):
            end.close()

    path = Path(f"/tmp/qcode-test-{uuid.uuid4().hex}.sock")
    server = await asyncio.start_unix_server(relay, path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    try:
        async with open_sandbox(DockerSpec(source=source)) as box:
            name = container_of(box)
            assert await out(box, "echo fine") == "fine\n"
            server.close()
            await asyncio.to_thread(path.unlink)
            for end in list(relays):
                end.transport.abort()
            with pytest.raises(SandboxLost, match="engine stopped answering"):
                await box.exec("echo no", timeout_s=SOON)
    finally:
        server.close()
        await asyncio.to_thread(path.unlink, missing_ok=True)
    monkeypatch.delenv("DOCKER_HOST")
    assert await gone(name)


async def test_no_engine_is_one_line_that_says_what_to_do(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(SandboxUnavailable) as caught:
        async with open_sandbox(DockerSpec(source=source)):
            pass
    text = str(caught.value)
    assert "\n" not in text
    assert "no such file" in text
    assert "docker.io" in text
    assert "--sandbox none" in text


async def test_image_that_nobody_has_is_told(source: Source) -> None:
    with pytest.raises(SandboxUnavailable, match=r"qcode-test/no-such-image.* cannot be pulled"):
        async with open_sandbox(DockerSpec(source=source, image="qcode-test/no-such-image:1")):
            pass


async def test_repository_larger_than_the_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    with pytest.raises(SandboxError, match="larger than the sandbox's disk"):
        async with open_sandbox(DockerSpec(source=Source(tmp_path, ["big"]), disk_mb=2)):
            pass


# --- an image with a tree of its own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    context = tmp_path_factory.mktemp("context")
    steps = [
        "mkdir /testbed /foreign", "cd /testbed", "git init -q", "echo a >a.txt", "echo '*.log' >.gitignore",
        "echo t >tracked.log", "echo o >other.log", "git add -f a.txt tracked.log .gitignore",
        "git -c user.name=x -c user.email=x@x commit -qm past", "echo b >untracked.txt", "chown -R 1000:1000 /testbed",
    ]  # fmt: skip
    base = await ensure_image("qcode/base")
    (context / "Dockerfile").write_text(
        f"FROM {base}\nRUN {json.dumps(['sh', '-c', ' && '.join(steps)])}\n", encoding="utf-8"
    )
    tag = f"qcode-test:{uuid.uuid4().hex}"
    lines: list[str] = []
    await build_image(context, tag=tag, on_line=lines.append)
    assert any("RUN" in line for line in lines)
    yield tag
    client = docker.APIClient(version="auto")
    client.remove_image(tag, force=True)
    client.close()


async def test_tree_of_the_image(testbed: str) -> None:
    async with open_sandbox(DockerSpec(image=testbed, workdir="/testbed", disk_mb=64)) as box:
        assert box.workdir == "/testbed"
        assert await box.patch() == ""
        assert await out(box, "pwd; git log --format=%s; git status --short") == "/testbed\npast\n?? untracked.txt\n"
        await out(box, "echo 2 >>a.txt; echo 2 >>tracked.log; echo 2 >>other.log; echo 2 >>untracked.txt; rm -rf .git")
        patch = await box.patch()
        assert [line for line in patch.splitlines() if line.startswith("+++")] == [
            "+++ b/a.txt", "+++ b/tracked.log", "+++ b/untracked.txt"
        ]  # fmt: skip
        one = await box.exec("head -c 100M /dev/zero >big; stat -c %s big; rm big", timeout_s=SOON)
        assert "67108864" in one.output
        many = await box.exec(
            "for i in {1..20}; do head -c 10M /dev/zero >big$i; done; until [[ -e never ]]; do sleep 0.3; "
            "head -c 100K /dev/zero >>more; done",
            timeout_s=SOON,
        )
        assert (many.exit_code, many.timed_out) == (137, False)
        assert "disk of 64 MB is full" in many.output
        assert await out(box, "rm -f big* more; echo fine") == "fine\n"


async def test_too_little_room_for_the_layer_is_told_before_the_start(testbed: str) -> None:
    with pytest.raises(SandboxUnavailable, match="MB are free where Docker keeps its layers"):
        async with open_sandbox(DockerSpec(image=testbed, workdir="/testbed", disk_mb=10**9, memory_mb=10**7)):
            pass


async def test_tree_of_another_user_is_told(testbed: str) -> None:
    with pytest.raises(SandboxError, match="/foreign is read-only or does not belong to the user"):
        async with open_sandbox(DockerSpec(image=testbed, workdir="/foreign")):
            pass


async def test_failed_build_shows_its_last_lines(tmp_path: Path) -> None:
    base = await ensure_image("qcode/base")
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN echo the reason; exit 3\n", encoding="utf-8")
    with pytest.raises(SandboxUnavailable, match=r"(?s)cannot be built.*the reason.*3"):
        await build_image(tmp_path, tag="qcode-test:failed")
