"""A server that runs in the sandbox, which is the default."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from mcp_speaking import SPEAKER
from waiting import PATIENCE_S

from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.specs import BubblewrapSpec, DockerSpec, Source
from qcode_tools.mcp.servers import Surroundings, gather
from qcode_tools.mcp.settings import from_mcp_json, from_tables
from qcode_tools.spec import ToolContext
from qcode_tools.toolset import Toolset


def surroundings(tmp_path: Path, sandbox: Callable[[], Awaitable[Sandbox]], told: list[str]) -> Surroundings:
    return Surroundings(state=tmp_path / "state", repository=tmp_path, sandbox=sandbox, tell=told.append)


@pytest.mark.parametrize("kind", ["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
async def test_it_sees_the_sandbox_and_nothing_else(tmp_path: Path, kind: str, monkeypatch) -> None:
    monkeypatch.setenv("MY_SECRET", "s3cret")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "speaker.py").write_bytes(SPEAKER.read_bytes())
    (tmp_path / "canary").write_text("outside", encoding="utf-8")
    source = Source(tree, ["speaker.py"])
    spec = BubblewrapSpec(source=source) if kind == "bubblewrap" else DockerSpec(source=source)
    told: list[str] = []
    async with open_sandbox(spec) as sandbox:

        async def get() -> Sandbox:
            return sandbox

        # As a repository would name it: what it says of the sandbox is passed over.
        entry = {"command": "python3", "args": ["-I", "${QCODE_REPO}/speaker.py", "env"], "sandbox": False}
        configured, problems = from_mcp_json(json.dumps({"mcpServers": {"box": entry, "gone": {"command": "no-such"}}}))
        assert problems == []
        servers = gather(configured, surroundings(tmp_path, get, told))
        try:
            tools = Toolset(await servers.tools(None))
            result = await tools.run("1", "mcp__box__say", {"word": "x"}, ToolContext(sandbox, told.append))
            seen = json.loads(result.content)
            assert seen["cwd"] == sandbox.workdir
            assert "MY_SECRET" not in seen["env"] and str(tmp_path) not in result.content
            (line,) = told
            assert line == "MCP server gone is left out: it ended before it answered: no-such: not found"
            assert await runs(sandbox)
        finally:
            await servers.close()
        assert not await runs(sandbox), "the server still runs in the sandbox"


async def runs(sandbox: Sandbox) -> bool:
    """Whether the server is there."""
    listed = await sandbox.exec("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", timeout_s=PATIENCE_S)
    return "/speaker.py env" in listed.output


async def test_it_waits_for_the_sandbox_and_says_when_there_is_none(tmp_path: Path) -> None:
    from qcode_sandbox.errors import SandboxUnavailable

    async def get() -> Sandbox:
        raise SandboxUnavailable("there is no sandbox today")

    told: list[str] = []
    servers = gather(from_tables({"box": {"command": "python3"}}), surroundings(tmp_path, get, told))
    assert await servers.tools(None) == ()
    assert told == ["MCP server box is left out: there is no sandbox today"]
    await servers.close()
