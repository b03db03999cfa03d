"""Editing files through the tools, on a real tree."""

import asyncio
import codecs
import stat
from typing import Any

CODE = "def area(r):\n    return 3.14 * r\n\n\ndef main():\n    print(area(2))\n"


async def test_a_replacement_shows_the_model_the_lines_and_the_user_a_diff(bench: Any) -> None:
    async with bench({"geo.py": CODE}) as b:
        result = await b.call("str_replace", path="geo.py", old_str="3.14 * r", new_str="3.14 * r * r")
        assert (b.root / "geo.py").read_text() == CODE.replace("* r\n", "* r * r\n")
        assert "     2\t    return 3.14 * r * r" in result.content
        assert "-    return 3.14 * r\n+    return 3.14 * r * r\n" in result.display
        assert result.display.startswith("--- a/geo.py\n+++ b/geo.py\n@@ -1,5 +1,5 @@\n")


ENCODED = {
    "mark and CRLF": codecs.BOM_UTF8 + b"x = 1\r\ny = 2\r\n",
    "latin-1 without a final newline": "x = 1\ny = 2 # caf\xe9".encode("latin-1"),
    "UTF-16": codecs.BOM_UTF16_LE + "x = 1\ny = 2\n".encode("utf-16-le"),
    "mixed line ends": b"x = 1\ny = 2\r\nz\n",
    "GBK": "名字 = '中文字符测试'\nx = 1\n".encode("gbk"),
}


async def test_the_rest_of_a_file_keeps_its_bytes(bench: Any) -> None:
    async with bench(ENCODED) as b:
        for name, data in ENCODED.items():
            target = b.root / name
            target.chmod(0o755)
            await b.ok("str_replace", path=name, old_str="x = 1", new_str="x = 7")
            assert target.read_bytes() == data.replace(b"1", b"7")
            assert stat.S_IMODE(target.stat().st_mode) == 0o755
            await b.ok("undo_edit", path=name)
            assert target.read_bytes() == data


async def test_a_tolerant_match_is_applied_and_admitted(bench: Any) -> None:
    async with bench({"geo.py": CODE}) as b:
        said = await b.ok(
            "str_replace",
            path="geo.py",
            old_str="  def main():\n      print(area(2))",
            new_str="  def main():\n      pass",
        )
        assert "indentation" in said
        assert (b.root / "geo.py").read_text() == CODE.replace("print(area(2))", "pass")


async def test_misses_teach_and_the_second_gives_the_whole_file(bench: Any) -> None:
    async with bench({"geo.py": CODE}) as b:
        first = await b.error("str_replace", path="geo.py", old_str="return 3.1 * r", new_str="return 1")
        assert "closest is at line 2" in first and "     2\t    return 3.14 * r" in first
        second = await b.error("str_replace", path="geo.py", old_str="return 3 * r", new_str="return 1")
        assert all(f"\t{line}" in second for line in CODE.splitlines()) and "create" in second
        assert (b.root / "geo.py").read_text() == CODE


IMPOSSIBLE = [
    ("r", "q", "not unique in geo.py: it is at lines 1, 2"),
    ("return", "return", "the same"),
    ("", "x", "old_str is empty"),
    ("gone_altogether()", "def area(r):", "already, at line 1"),
]


async def test_edits_that_cannot_be_are_explained(bench: Any) -> None:
    async with bench({"geo.py": CODE, "other.py": CODE}) as b:
        for old, new, words in IMPOSSIBLE:
            assert words in await b.error("str_replace", path="geo.py", old_str=old, new_str=new)
        assert (b.root / "geo.py").read_text() == CODE
        said = await b.error("str_replace", path="other.py", old_str="zzz_qqq()", new_str="x")
        assert "Nothing in the file is like it" in said


async def test_a_new_syntax_error_is_told_at_once_and_an_old_one_is_not(bench: Any) -> None:
    async with bench({"ok.py": CODE, "old.py": "print 'python 2'\nx = 1\n", "c.json": '{"a": 1}\n'}) as b:
        broken = await b.call("str_replace", path="ok.py", old_str="return 3.14 * r", new_str="return (3.14 * r")
        assert "no longer parses: line 2" in broken.content and "no longer parses" in broken.display
        assert broken.extra["syntax_error"]
        assert "parses" not in await b.ok("str_replace", path="old.py", old_str="x = 1", new_str="x = 2")
        outside = await b.ok("create", path="top.py", file_text="return 1\n")
        assert "'return' outside function" in outside
        assert "no longer parses" in await b.ok("create", path="deep.json", file_text="[" * 100 + "\n")
        await b.ok("create", path="deep.py", file_text="x = " + "-" * 100_000 + "1\n")
        assert "no longer parses" in await b.ok("create", path="c.json", file_text='{"a": 1,}')
        assert "parses" not in await b.ok("create", path="new.py", file_text="import re\nre.match('\\d', '1')\n")


async def test_a_small_model_cannot_leave_a_file_that_does_not_parse(bench: Any) -> None:
    async with bench({"ok.py": CODE}, tools="small") as b:
        said = await b.error("str_replace", path="ok.py", old_str="return 3.14 * r", new_str="return (3.14 * r")
        assert said.startswith("Nothing was changed. With this edit the file no longer parses: line 2")
        assert "parses" in await b.error("create", path="new.py", file_text="def f(:\n")
        assert (b.root / "ok.py").read_text() == CODE and not (b.root / "new.py").exists()


async def test_a_closing_tag_of_the_models_own_making_is_left_out(bench: Any) -> None:
    async with bench({"a.py": "x = 1\n"}, tools="small") as b:
        await b.ok("str_replace", path="a.py", old_str="x = 1", new_str="x = 2\n</new_str>")
        await b.ok("create", path="b.html", file_text="<file_text>\n</file_text>")
        assert (b.root / "a.py").read_text() == "x = 2\n"
        assert (b.root / "b.html").read_text() == "<file_text>\n</file_text>\n"


async def test_create_makes_folders_and_replaces_and_can_be_undone(bench: Any) -> None:
    async with bench({"a.txt": b"one\r\ntwo\r\n"}) as b:
        assert "Created src/x/y.py (1 line)" in await b.ok("create", path="src/x/y.py", file_text="x = 1")
        assert (b.root / "src/x/y.py").read_bytes() == b"x = 1\n"
        assert "Replaced all of a.txt (2 lines before, 1 now)" in await b.ok("create", path="a.txt", file_text="three")
        assert (b.root / "a.txt").read_bytes() == b"three\r\n"
        assert "exactly this content" in await b.error("create", path="a.txt", file_text="three\n")
        await b.ok("undo_edit", path="a.txt")
        assert (b.root / "a.txt").read_bytes() == b"one\r\ntwo\r\n"
        await b.ok("undo_edit", path="src/x/y.py")
        assert not (b.root / "src/x/y.py").exists()
        assert "no edit of" in await b.error("undo_edit", path="src/x/y.py")


async def test_a_fence_round_a_whole_file_is_not_written_but_in_markdown(bench: Any) -> None:
    async with bench() as b:
        await b.ok("create", path="a.py", file_text="```python\nx = 1\n```\n")
        await b.ok("create", path="a.md", file_text="```python\nx = 1\n```\n")
        assert (b.root / "a.py").read_text() == "x = 1\n"
        assert (b.root / "a.md").read_text() == "```python\nx = 1\n```\n"


async def test_code_that_was_left_out_is_not_written_over_a_file(bench: Any) -> None:
    async with bench({"geo.py": CODE}) as b:
        for line in ("# ... rest of the code ...", "    # existing code ...", "... (rest of the file unchanged)"):
            assert "stands for code" in await b.error(
                "create", path="geo.py", file_text=f"def area(r):\n    pass\n{line}\n"
            )
        assert (b.root / "geo.py").read_text() == CODE


async def test_undo_goes_back_step_by_step_and_never_over_foreign_changes(bench: Any) -> None:
    async with bench({"n.txt": "0\n"}) as b:
        for number in range(3):
            await b.ok("str_replace", path="n.txt", old_str=str(number), new_str=str(number + 1))
        await b.ok("undo_edit", path="n.txt")
        assert (b.root / "n.txt").read_text() == "2\n"
        await b.ok("bash", command="echo more >> n.txt")
        assert "changed by something else" in await b.error("undo_edit", path="n.txt")
        assert (b.root / "n.txt").read_text() == "2\nmore\n"


async def test_edits_see_what_the_shell_changed(bench: Any) -> None:
    async with bench({"a.txt": "one\n"}) as b:
        await b.ok("view", path="a.txt")
        await b.ok("bash", command="echo two > a.txt")
        await b.ok("str_replace", path="a.txt", old_str="two", new_str="three")
        assert (b.root / "a.txt").read_text() == "three\n"


INSERTS = [
    ("a\nb\n", 0, "x", "x\na\nb\n"),
    ("a\nb\n", 1, "x\ny\n", "a\nx\ny\nb\n"),
    ("a\nb\n", 2, "x", "a\nb\nx\n"),
    ("a\nb", 2, "x", "a\nb\nx"),
    ("", 0, "x", "x\n"),
    ("a\r\n", 1, "x\ny", "a\r\nx\r\ny\r\n"),
]


async def test_insert(bench: Any) -> None:
    async with bench({f"f{number}": case[0] for number, case in enumerate(INSERTS)}) as b:
        for number, (_, line, text, after) in enumerate(INSERTS):
            await b.ok("insert", path=f"f{number}", insert_line=line, new_str=text)
            assert (b.root / f"f{number}").read_bytes() == after.encode()
        assert "insert_line must be 0 to 3" in await b.error("insert", path="f0", insert_line=99, new_str="x")


async def test_files_that_cannot_be_edited(bench: Any) -> None:
    async with bench({"bin": b"\x7fELF\0\1", "latin.txt": b"caf\xe9 x\n", "d/main.py": "x\n"}) as b:
        assert "binary file" in await b.error("str_replace", path="bin", old_str="ELF", new_str="x")
        assert "cannot hold '中'" in await b.error("str_replace", path="latin.txt", old_str="x", new_str="中")
        assert "Did you mean d/main.py?" in await b.error("str_replace", path="main.py", old_str="x", new_str="y")
        assert "is a directory" in await b.error("str_replace", path="d", old_str="x", new_str="y")
        assert "is a directory" in await b.error("create", path="d", file_text="x")
        assert "not a directory" in await b.error("create", path="bin/x.py", file_text="x")
        assert (b.root / "latin.txt").read_bytes() == b"caf\xe9 x\n"


async def test_two_edits_at_once_are_both_kept(bench: Any) -> None:
    async with bench({"f": "a\nb\nc\n"}) as b:
        await asyncio.gather(*(b.ok("str_replace", path="f", old_str=c, new_str=c * 2) for c in "abc"))
        assert (b.root / "f").read_text() == "aa\nbb\ncc\n"


async def test_a_large_file_is_edited_and_a_miss_in_it_answered(bench: Any) -> None:
    text = "".join(f"value_{i} = compute({i})\n" for i in range(200_000))
    async with bench({"big.txt": text}) as b:
        await b.ok("str_replace", path="big.txt", old_str="value_150000 = compute(150000)", new_str="found = 1")
        assert (b.root / "big.txt").read_text() == text.replace("value_150000 = compute(150000)", "found = 1")
        miss = await b.error("str_replace", path="big.txt", old_str="value_99999 = komputer(99999)", new_str="x")
        assert "closest is at line 100000" in miss
        assert len(miss) < 2_000


async def test_a_path_below_another_root_is_understood(bench: Any) -> None:
    async with bench({"src/a.py": "x = 1\n", "b.py": "y = 1\n"}) as b:
        assert "Edited src/a.py" in await b.ok("str_replace", path="/repo/src/a.py", old_str="1", new_str="2")
        assert "Edited b.py" in await b.ok("str_replace", path="/b.py", old_str="1", new_str="2")
        assert "Edited b.py" in await b.ok("str_replace", path=f"{b.root}/b.py", old_str="2", new_str="3")
        assert "Edited b.py" in await b.ok("str_replace", path=" './b.py'", old_str="3", new_str="4")
        await b.ok("undo_edit", path="/repo/src/a.py")
        assert (b.root / "src/a.py").read_text() == "x = 1\n"
