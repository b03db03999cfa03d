from pathlib import Path

import pytest

from qcode.agent.mentions import named_paths
from qcode.agent.quoting import MAX_LINES, Quotes
from qcode.codec import grammar
from qcode.messages import ToolCall
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.specs import HostSpec, Source
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import ToolContext
from qcode_tools.toolsets import build_toolset


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("`gcd` in python_programs/gcd.py is wrong, see gcd.py", ["python_programs/gcd.py", "gcd.py"]),
        ("call a.b() or foo.bar(x), version 1.2.3", []),
        ("https://example.org/x.py and user@host.com", []),
        ("../secret.txt /etc/passwd.txt", []),
        ("edit src/app-main.test.js.", ["src/app-main.test.js"]),
    ],
)
def test_paths_that_a_task_names(text: str, paths: list[str]) -> None:
    assert named_paths(text) == paths


async def test_an_edit_may_quote_the_lines_that_were_shown_as_they_are_now(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("if a:\n    return 1\n", encoding="utf-8")
    (tmp_path / "long.py").write_text("".join(f"line_{n} = 1\n" for n in range(MAX_LINES)), encoding="utf-8")
    async with open_sandbox(HostSpec(source=Source(tmp_path, ("a.py", "long.py")))) as sandbox:
        quotes = Quotes()
        assert await quotes.choices(sandbox) == {}
        quotes.begin("", ["a.py", "gone.py"])
        assert await quotes.choices(sandbox) == {
            "str_replace": {"path": ("a.py",), "old_str": ("if a:", "if a:\n    return 1", "return 1", "    return 1")},
            "rewrite": {"path": ("a.py",)},
        }
        await sandbox.write("a.py", b"if y:\n")
        assert (await quotes.choices(sandbox))["str_replace"]["old_str"] == ("if y:",)
        shown = ToolCall(id="1", name="view", arguments={"path": "long.py"})
        quotes.note(shown, ToolResult(call_id="1", name="view", status=Status.OK, content=""))
        assert await quotes.choices(sandbox) == {}


async def test_what_is_there_twice_is_quoted_only_with_its_surroundings(tmp_path: Path) -> None:
    text = "".join(f"def {n}():\n    if {n}:\n        return None\n    return x\n\n" for n in "ab")
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    async with open_sandbox(HostSpec(source=Source(tmp_path, ("a.py",)))) as sandbox:
        quotes = Quotes()
        quotes.begin("", ["a.py"])
        offered = (await quotes.choices(sandbox))["str_replace"]["old_str"]
        assert "return x" not in offered and "return None\nreturn x" not in offered
        assert {"def a():", "    if b:", "if b:\n    return None\nreturn x"} <= set(offered)
        toolset = build_toolset("small")
        for number, old in enumerate(offered):
            arguments = {"path": "a.py", "old_str": old, "new_str": f"{old}  # {number}"}
            result = await toolset.run("1", "str_replace", arguments, ToolContext(sandbox, print))
            assert result.status is Status.OK, result.content
            await sandbox.write("a.py", text.encode())


async def test_lines_that_failed_twice_comments_and_docstrings_are_not_offered(tmp_path: Path) -> None:
    text = '"""About.\n\nmore\n"""\n# note\nx = 10\ny = 20\n\n"""End."""\n'
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    async with open_sandbox(HostSpec(source=Source(tmp_path, ("a.py",)))) as sandbox:
        quotes = Quotes()
        quotes.begin("a.py is wrong", ["a.py"])
        assert (await quotes.choices(sandbox))["str_replace"]["old_str"] == ("x = 10", "x = 10\ny = 20", "y = 20")
        failed = ToolResult(call_id="1", name="str_replace", status=Status.ERROR, content="")
        for new in ("x = 11", "x = 12"):
            quotes.note(
                ToolCall(id="1", name="str_replace", arguments={"path": "a.py", "old_str": "x = 10", "new_str": new}),
                failed,
            )
        assert (await quotes.choices(sandbox))["str_replace"]["old_str"] == ("x = 10\ny = 20", "y = 20")
        words = Quotes()
        words.begin("a typo in a.py", ["a.py"])
        assert '"""End."""' in (await words.choices(sandbox))["str_replace"]["old_str"]


def test_values_that_may_be_written_stand_in_the_grammar() -> None:
    tool = {"name": "t", "parameters": {"properties": {"q": {"type": "string", "enum": ['say "hi"', "b"]}}}}
    assert r"say \"hi\"" in grammar([tool], required=True).text
