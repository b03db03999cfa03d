"""The sets of tools beyond "swe" and "small", and what of a set is shown only when it helps."""

import json
from typing import Any

import pytest

from qcode_tools.spec import Effect
from qcode_tools.toolsets import build_toolset

CODE = "def area(r):\n    return 3.14 * r\n\n\ndef main():\n    print(area(2))\n"


def test_qwen_code_has_the_names_and_parameters_of_qwen_code() -> None:
    specs = {spec.name: spec.parameters for spec in build_toolset("qwen-code").specs}
    assert {name: tuple(each["properties"]) for name, each in specs.items()} == {
        "read_file": ("absolute_path", "offset", "limit"),
        "edit": ("file_path", "old_string", "new_string", "replace_all"),
        "write_file": ("file_path", "content"),
        "grep_search": ("pattern", "path", "glob", "limit"),
        "glob": ("pattern", "path"),
        "list_directory": ("path",),
        "run_shell_command": ("command", "is_background", "timeout", "directory"),
        "todo_write": ("todos",),
    }
    assert specs["edit"]["properties"]["replace_all"]["type"] == "boolean"
    assert specs["todo_write"]["properties"]["todos"]["items"] == {"type": "object"}


def test_minimal_is_a_shell_and_nothing_else() -> None:
    (spec,) = build_toolset("minimal").specs
    assert (
        spec.name == "bash"
        and spec.effect is Effect.EXEC
        and set(spec.parameters["properties"])
        == {
            "command",
            "timeout",
        }
    )


async def test_a_task_done_with_qwen_code(bench: Any) -> None:
    async with bench({"src/geo.py": CODE}, tools="qwen-code") as b:
        assert "src/geo.py" in await b.ok("list_directory", path=str(b.root))
        assert await b.ok("grep_search", pattern="3\\.14", glob="*.py", limit=1) == "src/geo.py:2:    return 3.14 * r"
        seen = await b.ok("read_file", absolute_path=f"{b.root}/src/geo.py", offset=1, limit=1)
        assert seen.startswith("     2\t    return 3.14 * r\n") and "lines 2-2" in seen
        await b.ok("edit", file_path=f"{b.root}/src/geo.py", old_string="3.14 * r", new_string="3.14 * r * r")
        await b.ok("write_file", file_path="src/run.sh", content="echo ran")
        assert await b.ok("run_shell_command", command="bash run.sh", directory="src") == "ran"
        assert await b.ok("run_shell_command", command="pwd", is_background=False) == str(b.root)
        todos = [{"id": "1", "content": "look", "status": "completed"}, {"id": "2", "content": "try"}]
        assert await b.ok("todo_write", todos=json.dumps(todos)) == "[x] look\n[ ] try"
        assert "`status` must be one of" in await b.error("todo_write", todos=[{"content": "x", "status": "later"}])
        assert (b.root / "src/geo.py").read_text() == CODE.replace("* r\n", "* r * r\n")


async def test_edit_of_qwen_code_replaces_all_or_counts_and_makes_files(bench: Any) -> None:
    async with bench({"a.py": "x = 1\ny = x\n", "dos.txt": b"x\r\nx y\r\nz\n"}, tools="qwen-code") as b:
        assert "not unique" in await b.error("edit", file_path="a.py", old_string="x", new_string="n")
        assert "2 times" in await b.ok("edit", file_path="a.py", old_string="x", new_string="n", replace_all="true")
        assert (b.root / "a.py").read_text() == "n = 1\ny = n\n"
        said = await b.error("edit", file_path="a.py", old_string="n", new_string="m", expected_replacements=3)
        assert "2 times, and 3 were expected" in said
        await b.ok("edit", file_path="dos.txt", old_string="x", new_string="x\nq", replace_all=True)
        assert (b.root / "dos.txt").read_bytes() == b"x\r\nq\r\nx\r\nq y\r\nz\n"
        await b.ok("edit", file_path="new.py", old_string="", new_string="x = 1\n")
        assert (b.root / "new.py").read_text() == "x = 1\n"
        assert "old_string is empty" in await b.error("edit", file_path="new.py", old_string="", new_string="y = 2\n")
        assert "the file seems" not in await b.ok("edit", file_path="new.py", old_string="1", new_string="2")


SLIPS: list[tuple[str, str, dict[str, Any], str]] = [
    ("qwen-code", "read_file", {"file_path": "a.py", "limit": "1"}, "     1\tone"),
    ("qwen-code", "view", {"path": "a.py", "start_line": 1}, "     2\ttwo"),
    ("qwen-code", "run_shell_command", {"command": "sleep 0.1; echo hi", "timeout": 5_000, "description": "x"}, "hi"),
    ("qwen-code", "Bash", {"cmd": "echo hi"}, "hi"),
    ("qwen-code", "str_replace", {"path": "a.py", "old_str": "one", "new_str": "1"}, "Edited a.py."),
    ("qwen-code", "create", {"path": "b.py", "file_text": "x"}, "Created b.py"),
    ("minimal", "run_shell_command", {"command": "echo hi"}, "hi"),
    ("swe", "multi_edit", {"file_path": "a.py", "edits": [{"old_string": "one", "new_string": "1"}]}, "Edited a.py"),
    ("swe", "repo_map", {}, "No definitions"),
]


async def test_slips_between_the_sets_are_understood(bench: Any) -> None:
    for tools, name, arguments, expected in SLIPS:
        async with bench({"a.py": "one\ntwo\n"}, tools=tools) as b:
            assert (await b.ok(name, **arguments)).startswith(expected), (name, arguments)


async def test_symbols_in_the_default_set(bench: Any) -> None:
    async with bench({"src/geo.py": CODE}, tools="swe") as b:
        assert "src/geo.py:1-2: def area(r):" in await b.ok("symbols", name="area")
        assert "src/geo.py:\n     1 def area(r):" in await b.ok("symbols")
        assert "5-6 def main():" in await b.ok("symbols", path="src/geo.py")


EDITS = [
    {"old_str": "area(r)", "new_str": "area(radius)"},
    {"old_str": "3.14 * r", "new_str": "3.14 * radius ** 2"},
    {"old_str": "area(radius):\n", "new_str": "area(radius):  # of a circle\n"},
]


async def test_several_edits_are_made_one_after_the_other_and_undone_as_one(bench: Any) -> None:
    async with bench({"geo.py": CODE}) as b:
        said = await b.ok("str_replace_editor", command="str_replace", path="geo.py", edits=EDITS)
        assert said.startswith("Edited geo.py (3 edits).") and "+def area(radius):  # of a circle" in said
        after = (b.root / "geo.py").read_text()
        assert after.startswith("def area(radius):  # of a circle\n    return 3.14 * radius ** 2\n")
        await b.ok("undo_edit", path="geo.py")
        assert (b.root / "geo.py").read_text() == CODE


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (
            {"old_str": "nowhere to be found", "new_str": "x"},
            "Edit 2 of 3 cannot be made, so none was: old_str was not",
        ),
        ({"old_str": "r", "new_str": "x"}, "not unique"),
        ({"old_str": "area", "path": "gone.py", "new_str": "x"}, "does not exist"),
        ({"old_str": "area"}, "Edit 2 of 3: `new_str` is missing"),
    ],
)
async def test_of_several_edits_all_are_made_or_none(bench: Any, bad: dict[str, str], words: str) -> None:
    async with bench({"geo.py": CODE, "other.py": "x = 1\n"}) as b:
        edits = [{"path": "other.py", "old_str": "x = 1", "new_str": "x = 2"}, bad, EDITS[0]]
        said = await b.error("str_replace_editor", command="str_replace", path="geo.py", edits=edits)
        assert words in said
        assert (b.root / "geo.py").read_text() == CODE and (b.root / "other.py").read_text() == "x = 1\n"


async def test_edits_of_two_files_are_put_back_when_the_second_cannot_be_written(bench: Any) -> None:
    async with bench({"a.py": "x = 1\n", "ro/b.py": "y = 1\n"}) as b:
        # Read anywhere, write here only: the host's sandbox refuses what lies outside of it.
        await b.ok("bash", command="ln -s /proc/version ro/link.py")
        edits = [
            {"path": "a.py", "old_str": "x = 1", "new_str": "x = 2"},
            {"path": "ro/link.py", "old_str": "Linux version", "new_str": "x"},
        ]
        said = await b.error("str_replace_editor", command="str_replace", path="a.py", edits=edits)
        assert "cannot write ro/link.py" in said
        assert (b.root / "a.py").read_text() == "x = 1\n"


async def test_a_file_that_changed_since_it_was_seen_is_not_overwritten(bench: Any) -> None:
    async with bench({"a.py": "x = 1\ny = 2\n"}) as b:
        await b.ok("view", path="a.py")
        await b.ok("bash", command="sed -i 's/y = 2/y = 3/' a.py")
        said = await b.error("create", path="a.py", file_text="x = 5\n")
        assert "changed by something else" in said and "-y = 2\n+y = 3" in said
        assert (b.root / "a.py").read_text() == "x = 1\ny = 3\n"
        await b.ok("create", path="a.py", file_text="x = 5\n")
        assert (b.root / "a.py").read_text() == "x = 5\n"


async def test_lines_are_not_inserted_where_their_number_no_longer_fits(bench: Any) -> None:
    text = "".join(f"line {n}\n" for n in range(1, 21))
    async with bench({"a.txt": text}) as b:
        await b.ok("view", path="a.txt")
        (b.root / "a.txt").write_text(text.replace("line 20", "changed far away"))
        await b.ok("insert", path="a.txt", insert_line=5, new_str="new")
        (b.root / "a.txt").write_text("on top\n" + text)
        said = await b.error("insert", path="a.txt", insert_line=5, new_str="new")
        assert "changed by something else" in said and "+on top" in said
        assert (b.root / "a.txt").read_text() == "on top\n" + text
        await b.ok("insert", path="a.txt", insert_line=6, new_str="new")
