"""Calls that are looked at while they are written: what is said early is what the tool would say in the end."""

import itertools
from typing import Any

import pytest

from qcode_tools.early import Look

FILES: dict[str, str | bytes] = {
    "src/calc.py": "def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n",
    "logo.png": b"\x89PNG\r\n\0\0",
}


async def early(bench: Any, name: str, /, **arguments: Any) -> str | None:
    return await bench.toolset.check(name, arguments, Look(bench.sandbox))


LOST: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("view", {"path": "src/clac.py"}, {"end_line": 3}),
    ("view", {"file_path": "nowhere.py"}, {}),
    ("str_replace", {"path": "src/clac.py"}, {"old_str": "a", "new_str": "b"}),
    ("str_replace", {"path": "src", "old_str": "a"}, {"new_str": "b"}),
    ("str_replace", {"path": "logo.png"}, {"old_str": "a", "new_str": "b"}),
    ("str_replace", {"path": " "}, {"old_str": "a", "new_str": "b"}),
    ("str_replace", {"path": "src/calc.py", "old_str": ""}, {"new_str": "b"}),
    ("str_replace", {"path": "src/calc.py", "old_str": "return a * b"}, {"new_str": "b"}),
    ("str_replace", {"path": "src/calc.py", "old_str": "return a - b"}, {"new_str": "b"}),
    ("edit_file", {"file": "src/calc.py", "old_string": "return a * b"}, {"new_string": "b"}),
    ("create", {"path": "src"}, {"file_text": "x"}),
    ("create", {"path": "src/calc.py/inner.py"}, {"file_text": "x"}),
    ("browse", {}, {"url": "x"}),
]
OPEN: list[tuple[str, dict[str, Any]]] = [
    ("view", {}),
    ("view", {"path": "src"}),
    ("view", {"path": "/repo/src/calc.py"}),
    ("str_replace", {"path": "src/calc.py"}),
    ("str_replace", {"old_str": "anything"}),
    ("str_replace", {"path": "src/calc.py", "old_str": "def add(a, b):\n  return a - b"}),
    ("str_replace", {"path": "src/calc.py", "old_str": "```python\ndef add(a, b):\n```"}),
    ("str_replace", {"path": "src/calc.py", "old_str": "     1\tdef add(a, b):"}),
    ("str_replace", {"path": ["src/calc.py"]}),
    ("create", {"path": "new/file.py"}),
    ("create", {"path": "src/calc.py"}),
    ("bash", {"command": "cat nowhere.py"}),
    ("finish", {}),
]


@pytest.mark.parametrize(("name", "begun", "rest"), LOST)
async def test_a_call_that_is_lost_is_known_before_it_is_whole(
    bench: Any, name: str, begun: dict[str, Any], rest: dict[str, Any]
) -> None:
    async with bench(FILES, tools="small") as opened:
        said = await early(opened, name, **begun)
    async with bench(FILES, tools="small") as opened:
        assert said == await opened.error(name, **begun, **rest)


@pytest.mark.parametrize(("name", "begun"), OPEN)
async def test_a_call_that_may_succeed_is_left_alone(bench: Any, name: str, begun: dict[str, Any]) -> None:
    async with bench(FILES, tools="small") as opened:
        assert await early(opened, name, **begun) is None


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        ({"command": "str_replace", "path": "src/clac.py"}, {"old_str": "a", "new_str": "b"}),
        ({"command": "str_replace", "path": "src/calc.py", "old_str": "a * b"}, {"new_str": "b"}),
        ({"command": "insert", "path": "src/calc.py", "insert_line": 40}, {"new_str": "b"}),
        ({"command": "insert", "path": "src/calc.py", "insert_line": "line 40"}, {"new_str": "b"}),
        ({"command": "insert", "path": "src/clac.py"}, {"insert_line": 1, "new_str": "b"}),
        ({"command": "view", "path": "src/clac.py"}, {}),
    ],
)
async def test_the_tool_of_many_commands_is_looked_at_too(
    bench: Any, begun: dict[str, Any], rest: dict[str, Any]
) -> None:
    async with bench(FILES, tools="swe") as opened:
        said = await early(opened, "str_replace_editor", **begun)
    async with bench(FILES, tools="swe") as opened:
        assert said == await opened.error("str_replace_editor", **begun, **rest)
        undecided = {name: value for name, value in begun.items() if name != "command"}
        assert await early(opened, "str_replace_editor", **undecided) is None
        assert await early(opened, "str_replace_editor", command="insert", path="src/calc.py", insert_line=6) is None


async def test_several_edits_in_one_call_may_name_their_own_files(bench: Any) -> None:
    begun = {"command": "str_replace", "path": "src"}
    edits = [{"path": "src/calc.py", "old_str": "def add(a, b):", "new_str": "def plus(a, b):"}]
    async with bench(FILES, tools="swe") as opened:
        assert await early(opened, "str_replace_editor", **begun) is None
        await opened.ok("str_replace_editor", **begun, edits=edits)


STRANGE: list[Any] = [
    "", " ", "\0", "a\0b", "\ud800", "/", "..", "../..", "~", "src/", "src/calc.py/", "x" * 5000, "x/" * 3000, "\n",
    "`src`", "C:\\x", "\u202e", 0, -1, 10**30, 1.5, float("nan"), float("inf"), True, None, [], ["src/calc.py"], [[]],
    {}, {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("tools", ["small", "swe", "qwen-code"])
async def test_no_argument_is_too_strange_to_look_at(bench: Any, tools: str) -> None:
    async with bench(FILES, tools=tools) as opened:
        for spec in opened.toolset.specs:
            names = list(spec.parameters["properties"])
            commands = spec.parameters["properties"].get("command", {}).get("enum", [None])
            for name, value, command in itertools.product(names, STRANGE, commands):
                # Beside it what a check needs to look at all.
                path = next(({other: "src/calc.py"} for other in names if other.endswith("path")), {})
                begun = path | ({"command": command} if command else {}) | {name: value}
                said = await early(opened, spec.name, **begun)
                assert said is None or said.isprintable() or "\n" in said


async def test_looking_changes_nothing(bench: Any) -> None:
    async with bench(FILES, tools="small") as opened:
        for name, begun, _ in LOST:
            await early(opened, name, **begun)
        for name, begun in OPEN:
            await early(opened, name, **begun)
        assert await opened.sandbox.patch() == ""


async def test_a_second_miss_shows_the_whole_file_also_when_it_is_seen_early(bench: Any) -> None:
    async with bench(FILES, tools="small") as opened:
        first, second = [await early(opened, "str_replace", path="src/calc.py", old_str="nope") for _ in range(2)]
        assert "This is all of src/calc.py now" not in (first or "")
        assert "This is all of src/calc.py now" in (second or "")


async def test_what_is_said_cannot_command_the_terminal(bench: Any) -> None:
    async with bench(FILES, tools="small") as opened:
        said = await early(opened, "view", path="\x1b[2Jx.py")
        assert said is not None
        assert "\x1b" not in said


TAIL = 'if __name__ == "__main__":\n    print(add(1, 2))\n\n    print(add(2, 2))\n'
BEHIND = {"src/calc.py": f"def add(a, b):\n    return a - b\n\n\n{TAIL}", "src/notes.txt": TAIL}
ADD = "def add(a, b):\n    return a + b\n"
TEXT = 'def add(a, b):\n    text = """\n' + TAIL + '"""\n    return text\n'


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (f"{ADD}\n\n{TAIL}", f"{ADD}\n\n"),
        (f"```python\n{ADD}\n{TAIL}", f"```python\n{ADD}\n"),
        (f"import os\n\n{ADD}\n{TAIL.replace(chr(10) * 2, chr(10))}", f"import os\n\n{ADD}\n"),
        (f"{ADD}\n\n{TAIL.rstrip()}", None),  # Its last line may go on.
        (f"{ADD}\n\n{TAIL}more", f"{ADD}\n\n"),
        (f"{ADD}\n\n{TAIL.replace('(2, 2)', '(2, 3)')}", None),
        (ADD, None),
        (TAIL, None),
        (f"def other():\n    pass\n\n{TAIL}", None),
        (f"def add(a, b):\n    return (a +\n\n{TAIL}", None),
        (TEXT, None),
    ],
)
async def test_a_function_is_settled_once_the_rest_of_the_file_follows_it(
    bench: Any, code: str, kept: str | None
) -> None:
    async with bench(BEHIND, tools="small") as opened:
        look = Look(opened.sandbox)
        for end in range(1, len(code)):
            told = await opened.toolset.settled("rewrite", {"path": "src/calc.py", "new_code": code[:end]}, look)
            assert told is None or (kept is not None and told["new_code"] == kept)
        told = await opened.toolset.settled("rewrite", {"path": "src/calc.py", "new_code": code}, look)
        assert (told or {}).get("new_code") == kept
        await opened.ok("rewrite", path="src/calc.py", new_code=kept) if kept else None


@pytest.mark.parametrize("path", ["src/notes.txt", "src/gone.py", "src", " "])
async def test_nothing_settles_a_call_for_what_has_no_functions(bench: Any, path: str) -> None:
    async with bench(BEHIND, tools="small") as opened:
        given = {"path": path, "new_code": f"{ADD}\n\n{TAIL}"}
        assert await opened.toolset.settled("rewrite", given, Look(opened.sandbox)) is None
        assert await opened.toolset.settled("rewrite", {"new_code": ADD}, Look(opened.sandbox)) is None
        assert not opened.toolset.may_settle("bash")
