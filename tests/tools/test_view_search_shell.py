"""Looking at files, searching and running commands through the tools, on a real tree."""

from typing import Any

import pytest

from qcode_tools.result import Status

TREE: dict[str, str | bytes] = {
    "README.md": "# Demo\n",
    "src/app.py": "import os\n\n\ndef run():\n    return os.getcwd()  # TODO: log\n",
    "src/lib/util.py": "def helper():\n    pass\n",
    "src/-odd name.py": "run = 'odd'\n",
    ".github/ci.yml": "run: make\n",
    ".gitignore": "build/\n*.log\n",
    "data.bin": b"run\0\1\2",
}

IGNORED = "git init -q .; mkdir build; echo 'def run(): ...' > build/out.py; echo run failed > err.log"


async def test_view_of_a_file_a_range_and_a_folder(bench: Any) -> None:
    async with bench(TREE) as b:
        whole = await b.ok("view", path="src/app.py")
        assert whole.startswith("     1\timport os\n     2\t\n") and whole.endswith("# TODO: log")
        part = await b.ok("view", path="src/app.py", start_line=4, end_line=-1)
        assert part.splitlines()[0] == "     4\tdef run():" and "lines 4-5 of 5" in part
        folder = await b.ok("view", path=".")
        assert {"src/", "src/lib/", "src/app.py", "README.md"} <= set(folder.splitlines())
        assert "util.py" not in folder and ".git/" not in folder.split()


NOT_VIEWED: list[tuple[dict[str, Any], str]] = [
    ({"path": "src/ap.py"}, "Did you mean src/app.py?"),
    ({"path": "util.py"}, "Did you mean src/lib/util.py?"),
    ({"path": "qqqqqq"}, "No file has a name like it"),
    ({"path": "src/app.py", "start_line": 9}, "has only 5 lines"),
    ({"path": "src/app.py", "start_line": 4, "end_line": 2}, "before it begins"),
    ({"path": "data.bin"}, "binary file"),
    ({"path": ""}, "path is empty"),
    ({"path": "x" * 5000}, "too long"),
    ({"path": "src/app.py/x"}, "does not exist"),
    ({"path": "pipe"}, "cannot read pipe"),
    ({"path": "huge"}, "larger than 20 MB"),
    ({"path": "loop"}, "leads to itself"),
]


async def test_what_cannot_be_viewed_is_explained(bench: Any) -> None:
    async with bench(TREE) as b:
        await b.ok("bash", command="mkfifo pipe; truncate -s 1T huge; ln -s loop loop")
        for arguments, words in NOT_VIEWED:
            assert words in await b.error("view", **arguments)


async def test_a_long_file_is_shown_in_parts_that_fit(bench: Any) -> None:
    text = "".join(f"line {number}\n" for number in range(1, 5001))
    async with bench({"long.txt": text, "wide.txt": "w" * 50_000 + "\nend\n", "empty.txt": ""}, cap=4_000) as b:
        seen, start = 0, 1
        while start <= 5000:
            result = await b.call("view", path="long.txt", start_line=start)
            assert len(result.content) <= 4_000 and "whole_output" not in result.extra
            first, last = result.extra["lines"]
            assert first == start and f"     {first}\tline {first}\n"[-8:] in result.content
            seen, start = seen + last - first + 1, last + 1
        assert seen == 5000
        wide = await b.ok("view", path="wide.txt")
        assert "49,000 more characters" in wide and wide.endswith("end")
        assert await b.ok("view", path="empty.txt") == "empty.txt is empty."


@pytest.mark.parametrize("rg", [True, False], ids=["rg", "without rg"])
async def test_glob(bench: Any, rg: bool, path_without_rg: str) -> None:
    async with bench(TREE, env={} if rg else {"PATH": path_without_rg}) as b:
        await b.ok("bash", command=IGNORED)
        assert (await b.ok("glob", pattern="*.py")).splitlines() == [
            "src/-odd name.py",
            "src/app.py",
            "src/lib/util.py",
        ]
        assert await b.ok("glob", pattern="src/*.py") == "src/-odd name.py\nsrc/app.py"
        assert await b.ok("glob", pattern="./src/**/*.py", path=".") == "src/-odd name.py\nsrc/app.py\nsrc/lib/util.py"
        assert await b.ok("glob", pattern="lib/*.{py,c}", path="src") == "src/lib/util.py"
        assert await b.ok("glob", pattern="**/ci.yml") == ".github/ci.yml"
        assert await b.ok("glob", pattern="-odd*") == "src/-odd name.py"
        assert "No file matches nothing.c" in await b.ok("glob", pattern="nothing.c")
        assert "not a directory" in await b.error("glob", pattern="*", path="nowhere")
        assert "not a pattern" in await b.error("glob", pattern="!*.py")
        assert "not a valid glob" in await b.error("glob", pattern="[z-a]")


@pytest.mark.parametrize("rg", [True, False], ids=["rg", "without rg"])
async def test_grep(bench: Any, rg: bool, path_without_rg: str) -> None:
    async with bench(TREE, env={} if rg else {"PATH": path_without_rg}) as b:
        await b.ok("bash", command=IGNORED)
        found = await b.ok("grep", pattern=r"\brun\b")
        assert found.splitlines() == [
            ".github/ci.yml:1:run: make",
            "src/-odd name.py:1:run = 'odd'",
            "src/app.py:4:def run():",
        ]
        assert await b.ok("grep", pattern="run", include="*.yml") == ".github/ci.yml:1:run: make"
        assert await b.ok("grep", pattern="run", path="src/app.py") == "src/app.py:4:def run():"
        assert await b.ok("grep", pattern="help", path="src/lib") == "src/lib/util.py:1:def helper():"
        assert await b.ok("grep", pattern="zzz", path="src") == "No matches for zzz in src."
        assert "plain text" in await b.ok("grep", pattern="os.getcwd(")
        assert await b.ok("grep", pattern="--pre=echo") == "No matches for --pre=echo."
        assert "does not exist" in await b.error("grep", pattern="x", path="nowhere.py")
        assert "empty" in await b.error("grep", pattern="")
        result = await b.call("grep", pattern="helper")
        assert result.extra["engine"] == ("rg" if rg else "grep")


async def test_searches_are_bounded(bench: Any) -> None:
    files = {f"d{n // 50}/f{n}.txt": "needle " * 100 + "\n" + "needle\n" * 80 for n in range(300)}
    async with bench(files) as b:
        found = await b.call("grep", pattern="needle")
        lines = found.content.splitlines()
        assert len(lines) == 101 and "make the pattern or the path narrower" in lines[-1]
        assert max(map(len, lines)) < 300
        names = await b.ok("glob", pattern="**/*")
        assert len(names.splitlines()) == 201 and "100 more" in names
        folder = await b.ok("view", path=".")
        assert len(folder.splitlines()) < 210


async def test_the_shell_keeps_its_folder_and_a_failing_command_is_an_answer(bench: Any) -> None:
    async with bench(TREE) as b:
        assert await b.ok("bash", command="cd src && export V=7") == "(no output)"
        assert await b.ok("bash", command="pwd; echo $V") == f"{b.root}/src\n7"
        failed = await b.call("bash", command="echo out; echo err >&2; (exit 3)")
        assert failed.status is Status.OK and failed.content == "out\nerr\n[exit code 3]"
        assert failed.extra["exit_code"] == 3
        assert await b.ok("bash", command="cat") == "(no output)"
        assert await b.ok("bash", command=["printf", "%s", "a b"]) == "a b"
        assert await b.ok("bash", command="```bash\necho fenced\n```") == "fenced"


async def test_a_command_that_takes_too_long_is_killed_and_says_so(bench: Any) -> None:
    async with bench() as b:
        said = await b.error("bash", command="echo started; sleep 60", timeout=1)
        assert said.startswith("started") and "timed out after 1 s" in said
        assert await b.ok("bash", command="echo alive") == "alive"


async def test_output_is_cleaned_for_all_its_readers(bench: Any) -> None:
    async with bench({"esc.txt": "a\x1b]0;owned\x07b\n"}) as b:
        result = await b.call("bash", command=r"printf '\033[31mred\033[0m 10%%\r100%%\n\377\033]0;t\007\n'")
        assert result.content == "100%\n\ufffd"
        assert "\x1b" not in "".join(b.emitted) and "red" not in result.display
        assert await b.ok("view", path="esc.txt") == "     1\ta\\x1b]0;owned\\x07b"


async def test_a_long_output_keeps_head_and_tail_and_the_whole_in_a_file(bench: Any) -> None:
    async with bench(cap=3_000) as b:
        result = await b.call("bash", command="seq 1 20000")
        assert len(result.content) < 3_300
        assert result.content.startswith("1\n2\n") and result.content.endswith("\n20000")
        path = result.extra["whole_output"]
        assert path in result.content and path.endswith("/qcode/output-0001.txt")
        assert "12345" in await b.ok("grep", pattern="^12345$", path=path)
        assert "     12000\t12000"[-11:] in await b.ok("view", path=path, start_line=12_000, end_line=12_001)
        again = await b.call("bash", command="seq 1 20000")
        assert again.content == result.content
        other = await b.call("bash", command="seq 1 20001")
        assert other.extra["whole_output"].endswith("output-0002.txt")


async def test_an_endless_output_stays_bounded(bench: Any) -> None:
    async with bench() as b:
        result = await b.call("bash", command="yes | head -c 30000000; printf %s; printf 'x%.0s' $(seq 1 100000)")
        assert len(result.content) < 13_000
        assert result.content.startswith("y\n") and result.content.endswith("xxx")
