"""The tools in a container: paths, users and programs differ from the host's."""

from pathlib import Path
from typing import Any

import pytest

from qcode_sandbox import DockerSpec, open_sandbox
from qcode_sandbox.specs import Source
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import ToolContext
from qcode_tools.toolsets import build_toolset


@pytest.mark.docker
async def test_a_bug_is_found_fixed_and_tried_in_a_container(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_bytes(b"def add(a, b):\r\n    return a - b\r\n")
    (tmp_path / "test_calc.py").write_text("from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n")
    source = Source(tmp_path, ["calc.py", "test_calc.py"])
    async with open_sandbox(DockerSpec(source=source)) as sandbox:
        toolset = build_toolset("swe", cap=3_000)
        emitted: list[str] = []

        async def call(name: str, **arguments: Any) -> ToolResult:
            result = await toolset.run("id", name, arguments, ToolContext(sandbox, emitted.append))
            assert result.status is Status.OK, result.content
            return result

        assert "[exit code 1]" in (await call("bash", command="python3 -m pytest -q test_calc.py")).content
        assert (await call("grep", pattern="a - b")).content == "calc.py:2:    return a - b"
        assert (await call("glob", pattern="test_*.py")).content == "test_calc.py"
        broken = await call("str_replace", path="/testbed/calc.py", old_str="a - b", new_str="(a + b")
        assert "no longer parses: line 2" in broken.content
        await call("undo_edit", path="calc.py")
        await call("str_replace", path="calc.py", old_str="return a - b", new_str="return a + b")
        assert await sandbox.read("calc.py") == b"def add(a, b):\r\n    return a + b\r\n"
        assert "1 passed" in (await call("bash", command="python3 -m pytest -q test_calc.py")).content
        assert "1 passed" in "".join(emitted)

        long = await call("bash", command="seq 1 9999")
        assert long.extra["whole_output"] == "/tmp/qcode/output-0001.txt"
        assert "4321" in (await call("grep", pattern="^4321$", path="/tmp/qcode/output-0001.txt")).content

        denied = await toolset.run(
            "id", "create", {"path": "/etc/x", "file_text": "x"}, ToolContext(sandbox, emitted.append)
        )
        assert denied.status is Status.ERROR and denied.content.startswith("cannot write /etc/x: ")
        patch = await sandbox.patch()
        assert "+    return a + b" in patch and "/etc" not in patch
