"""Tool sets: what the model is shown, and what becomes of calls that are not quite right."""

import json
import subprocess
import sys
from typing import Any

import pytest

from qcode_tools.result import ToolResult
from qcode_tools.spec import Effect
from qcode_tools.toolsets import NAMES, build_toolset

SETS = NAMES
ONE, TWO = "     1\tone", "     2\ttwo"


@pytest.mark.parametrize("name", SETS)
def test_schemas_are_flat_and_slim(name: str) -> None:
    for spec in build_toolset(name).specs:
        assert spec.parameters["type"] == "object"
        assert set(spec.parameters["required"]) <= set(spec.parameters["properties"])
        for parameter in spec.parameters["properties"].values():
            assert set(parameter) <= {"type", "description", "enum", "items"}
        assert spec.description and "\n\n" not in spec.description


@pytest.mark.parametrize("name", SETS)
def test_descriptions_are_the_same_everywhere_and_short(name: str) -> None:
    one, two = build_toolset(name).specs, build_toolset(name).specs
    assert one == two
    assert sum(len(spec.description) + len(json.dumps(spec.parameters["properties"])) for spec in one) < 3_000


def test_the_editor_says_which_arguments_go_with_which_command() -> None:
    (editor,) = [spec for spec in build_toolset("swe").specs if spec.name == "str_replace_editor"]
    assert editor.parameters["required"] == ["command", "path"]
    branches = [(branch["properties"]["command"]["const"], branch["required"]) for branch in editor.parameters["oneOf"]]
    assert {command for command, _ in branches} == set(editor.parameters["properties"]["command"]["enum"])
    assert ("str_replace", ["command", "path", "old_str", "new_str"]) in branches
    assert ("str_replace", ["command", "path", "edits"]) in branches


def test_only_finish_ends_the_turn() -> None:
    assert [spec.name for spec in build_toolset("small").specs if spec.ends_turn] == ["finish"]
    assert not [spec.name for spec in build_toolset("swe").specs if spec.ends_turn]


def test_an_unknown_set_is_an_error() -> None:
    with pytest.raises(KeyError):
        build_toolset("large")


def test_a_view_is_known_to_change_nothing() -> None:
    swe = build_toolset("swe")
    assert swe.effect("str_replace_editor", {"command": "view", "path": "x"}) is Effect.READ
    assert swe.effect("str_replace_editor", {"command": "create", "path": "x"}) is Effect.WRITE
    assert swe.effect("bash", {"command": "ls"}) is Effect.EXEC
    assert swe.effect("nothing", {}) is Effect.READ


async def test_the_editor_of_swe(bench: Any) -> None:
    async with bench({"a.py": "x = 1\ny = 2\n"}, tools="swe") as b:

        async def edit(command: str, **arguments: Any) -> str:
            return await b.ok("str_replace_editor", command=command, **arguments)

        assert await edit("view", path="a.py", view_range=[2, -1]) == "     2\ty = 2\n[a.py: lines 2-2 of 2]"
        await edit("str_replace", path="a.py", old_str="x = 1", new_str="x = 3")
        await edit("insert", path="a.py", insert_line=1, new_str="z = 0")
        assert (b.root / "a.py").read_text() == "x = 3\nz = 0\ny = 2\n"
        await edit("undo_edit", path="a.py")
        await edit("create", path="b.py", file_text="")
        assert (b.root / "a.py").read_text() == "x = 3\ny = 2\n"
        assert (b.root / "b.py").read_text() == ""
        said = await b.error("str_replace_editor", command="str_replace", path="a.py", old_str="x")
        assert "also needs `new_str`" in said


SLIPS: list[tuple[str, str, dict[str, Any], str]] = [
    ("small", "view", {"path": "a.py", "start_line": "2", "end_line": "2"}, TWO),
    ("small", "view", {"filename": "a.py", "end_line": 1.0}, ONE),
    ("small", "view", {"filePath": "./a.py", "start_line": "None"}, ONE),
    ("small", "view", {"path": "a.py", "view_range": [2, 2]}, TWO),
    ("small", "read_file", {"file_path": "/a.py"}, ONE),
    ("small", "finish", {}, "Done."),
    ("swe", "str_replace_editor", {"command": "view", "path": "a.py", "view_range": "[2, 2]"}, TWO),
    ("swe", "str_replace_editor", {"command": "view", "path": "a.py", "view_range": "2-2"}, TWO),
    ("swe", "str_replace_editor", {"command": "view", "path": "a.py", "view_range": ["2", "-1"]}, TWO),
    ("swe", "str_replace_editor", {"command": "Read", "path": "a.py"}, ONE),
    ("swe", "str_replace_editor", {"path": "a.py"}, ONE),
    ("swe", "view", {"path": "a.py"}, ONE),
    ("swe", "Bash", {"cmd": "echo hi", "timeout": 600000}, "hi"),
    ("swe", "execute_bash", {"command": "echo hi", "explanation": "greet"}, "hi"),
]


@pytest.mark.parametrize("tools", SETS)
async def test_harmless_slips_are_understood(bench: Any, tools: str) -> None:
    async with bench({"a.py": "one\ntwo\n"}, tools=tools) as b:
        for _, name, arguments, expected in (slip for slip in SLIPS if slip[0] == tools):
            assert (await b.ok(name, **arguments)).startswith(expected), (name, arguments)


WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    ("vew", {}, ["There is no tool 'vew'", "view, rewrite, str_replace, create"]),
    ("view", {}, ["`path` is missing", "as view(path, [start_line], [end_line])"]),
    ("view", {"fiel": "a"}, ["`path` is missing", "Unknown: fiel"]),
    ("view", {"path": "a.py", "start_line": "two"}, ["`start_line` must be a whole number", 'you gave "two"']),
    ("str_replace", {"path": "a.py", "old_str": [1]}, ["`old_str`", "`new_str` is missing"]),
    ("bash", {"command": [1]}, ["`command` must be a text", "you gave [1]"]),
    ("bash", {"command": " "}, ["command is empty"]),
]


async def test_wrong_arguments_are_explained_without_jargon(bench: Any) -> None:
    async with bench({"a.py": "one\ntwo\n"}, tools="small") as b:
        for name, arguments, words in WRONG:
            content = await b.error(name, **arguments)
            assert all(word in content for word in words), content
            assert "pydantic" not in content and "validation error" not in content


async def test_results_survive_the_log(bench: Any) -> None:
    async with bench({"odd.txt": b"caf\xff \xe2\x80\xae\n"}) as b:
        for call in (b.call("view", path="odd.txt"), b.call("bash", command="cat odd.txt"), b.call("view\ud800")):
            result = await call
            assert ToolResult.model_validate_json(result.model_dump_json()) == result


async def test_text_that_no_file_or_command_can_hold_is_refused(bench: Any) -> None:
    async with bench({"a.py": "x\n"}) as b:
        for text in ("nul \0", "half \ud800 pair", "\udcff"):
            for name, arguments in {
                "create": {"path": "b.py", "file_text": text},
                "str_replace": {"path": "a.py", "old_str": "x", "new_str": text},
                "bash": {"command": f"echo {text}"},
                "grep": {"pattern": text},
                "glob": {"pattern": text},
                "view": {"path": text},
            }.items():
                assert " contains " in await b.error(name, **arguments)
        assert sorted(path.name for path in b.root.glob("*.py")) == ["a.py"]
        assert (b.root / "a.py").read_text() == "x\n"


async def test_a_bug_is_not_taken_for_the_models_mistake(bench: Any) -> None:
    async with bench() as b:
        with pytest.raises(TypeError):
            await b.toolset.run("id", "view", None, None)


def test_importing_the_tools_loads_nothing_heavy() -> None:
    code = (
        "import sys, qcode_tools.toolsets as t; t.build_toolset('swe');"
        "print([m for m in ('docker', 'openai', 'git', 'rich', 'textual', 'jinja2') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
