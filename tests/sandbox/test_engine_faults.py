"""A Docker engine that fails and one that is slow, through a relay of ours before the real one (feature 24)."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker
import pytest
from calls import call, committed, scripted
from outside import SOON, out
from waiting import come_about

from qcode_sandbox import DockerSpec, SandboxError, Source, open_sandbox

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


class Engine:
    """The engine behind a relay. `failing`: requests with these bytes in their first line get an error of the server;
    `delay_s`: each request waits so long."""

    def __init__(self, path: Path, *, failing: bytes = b"", delay_s: float = 0.0) -> None:
        self.address = f"unix://{path}"
        self._path = path
        self._failing = failing
        self._delay_s = delay_s
        self.failed = 0
        self._at_work: set[asyncio.Task[None]] = set()

    async def leave(self) -> None:
        """End what is still connected."""
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._at_work.add(task)
        there, to = await asyncio.open_unix_connection("/var/run/docker.sock")

        async def ask() -> None:
            while data := await reader.read(1 << 16):
                line = data.split(b"\r\n", 1)[0]
                if line.endswith(b" HTTP/1.1"):
                    await asyncio.sleep(self._delay_s)
                    if self._failing and self._failing in line:
                        self.failed += 1
                        said = json.dumps({"message": "no space left on device"}).encode()
                        head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
                        writer.write(head + b"Content-Length: %d\r\n\r\n%b" % (len(said), said))
                        continue
                to.write(data)
            to.write_eof()

        async def answer() -> None:
            while data := await there.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.close()

        try:
            await asyncio.gather(ask(), answer(), return_exceptions=True)
        finally:
            writer.transport.abort()
            to.transport.abort()


@asynccontextmanager
async def engine(
    monkeypatch: pytest.MonkeyPatch, *, failing: bytes = b"", delay_s: float = 0.0
) -> AsyncIterator[Engine]:
    path = Path(f"/tmp/qcode-test-{uuid.uuid4().hex}.sock")
    relay = Engine(path, failing=failing, delay_s=delay_s)
    server = await asyncio.start_unix_server(relay, path)
    monkeypatch.setenv("DOCKER_HOST", relay.address)
    try:
        yield relay
    finally:
        monkeypatch.delenv("DOCKER_HOST")
        server.close()
        await relay.leave()
        await asyncio.to_thread(path.unlink)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    root = tmp_path_factory.mktemp("repository")
    (root / "a.txt").write_text("a\n", encoding="utf-8")
    return Source(root, ["a.txt"])


def containers(session: str) -> list[object]:
    client = docker.APIClient(version="auto")
    try:
        return [found["Names"] for found in client.containers(all=True, filters={"label": f"qcode.session={session}"})]
    finally:
        client.close()


@pytest.mark.parametrize("failing", [b"/containers/create", b"/start ", b"/attach", b"/images/"])
async def test_an_engine_that_fails_is_one_line_and_leaves_nothing(
    source: Source, monkeypatch: pytest.MonkeyPatch, failing: bytes
) -> None:
    async with engine(monkeypatch, failing=failing) as relay:
        with pytest.raises(SandboxError) as caught:
            async with open_sandbox(DockerSpec(source=source)):
                pass
        assert relay.failed
    assert "\n" not in str(caught.value)
    assert "no space left on device" in str(caught.value)


async def test_an_engine_that_fails_at_the_end_does_not_lose_what_was_done(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ""
    async with engine(monkeypatch, failing=b"DELETE /") as relay:
        async with open_sandbox(DockerSpec(source=source)) as box:
            name = box.name.replace("docker:", "")
            await out(box, "echo more >>a.txt")
            assert "+more" in await box.patch()
        assert relay.failed
    # Its process has ended with its connection, and it goes with it or with the next one's start.
    async with open_sandbox(DockerSpec(source=source)):
        await come_about(lambda: not containers(name), "its container is still there")


async def test_a_slow_engine_is_waited_for(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    async with engine(monkeypatch, delay_s=0.4), open_sandbox(DockerSpec(source=source)) as box:
        assert await out(box, "echo fine") == "fine\n"


async def test_a_run_whose_engine_fails_says_so_and_is_no_failure_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = await asyncio.to_thread(committed, tmp_path / "repo", {"calc.py": "1\n", "issue.md": "Do it.\n"})
    model = scripted(tmp_path / "model.jsonl", call("bash", command="echo hi >new.txt"), "Done.")
    command = [sys.executable, "-P", "-m", "qcode", "run", "--task", str(repo / "issue.md"), "--repo", str(repo)]
    command += ["--model", model, "--sandbox", "docker", "--output", "json"]
    async with engine(monkeypatch, failing=b"/start "):
        ran = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=5 * SOON, check=False
        )
    assert ran.returncode == 4, ran.stderr
    assert "no space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
