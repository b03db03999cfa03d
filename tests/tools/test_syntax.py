"""What does not parse is told at once, in each language, by a process that can do nothing else."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from qcode_tools.parsing.languages import GRAMMARS, language_of
from qcode_tools.parsing.parser import Parser, shared_parser

# Sound text, what to replace in it, by what, and the line that is then named.
LANGUAGES: dict[str, tuple[str, str, str, int]] = {
    "a.js": ("function f(x) {\n  if (x) {\n    return 1;\n  }\n}\n", "if (x) {", "if (x {", 2),
    "a.ts": ("const a: number = 1;\nexport const f = (x: number) => x;\n", "a: number", "a: ", 1),
    "a.tsx": ("export function App() {\n  return <div>hi</div>;\n}\n", "</div>", "", 2),
    "a.go": ("package main\n\nfunc f() int {\n\treturn (1 + 2)\n}\n", "(1 + 2)", "(1 + 2", 4),
    "a.rs": ("fn f() -> i32 {\n    let x = 1;\n    x\n}\n", "= 1", "= ", 2),
    "A.java": ("class A {\n  int f() {\n    return 1;\n  }\n}\n", "1;", "1", 3),
    "a.c": ("int f(int x) {\n  return x;\n}\n", "x;", "x", 2),
    "a.cpp": ("namespace n {\nint f() { return 1; }\n}\n", "return 1;", "return 1", 2),
    "a.rb": ("def f\n  g(1)\nend\n", "g(1)", "g(1", 2),
    "a.php": ("<?php\nfunction f() {\n  return 1;\n}\n", "1;", "1", 3),
    "A.cs": ("class A {\n  int F() {\n    return 1;\n  }\n}\n", "1;", "1", 3),
    "a.sh": ("if true; then\n  echo hi\nfi\n", "fi", "", 3),
}


async def test_a_new_error_is_told_in_each_language(bench: Any) -> None:
    async with bench({name: case[0] for name, case in LANGUAGES.items()}) as b:
        for name, (_, old, new, line) in LANGUAGES.items():
            result = await b.call("str_replace", path=name, old_str=old, new_str=new)
            assert f"The file seems to no longer parse: line {line}:" in result.content, result.content
            assert result.extra["syntax_error"]
        again = await b.ok("str_replace", path="a.js", old_str="return 1", new_str="return 2")
        assert "parse" not in again, "a file that did not parse before is not complained about"


async def test_sound_text_is_not_complained_about(bench: Any) -> None:
    async with bench() as b:
        for name, (text, *_) in LANGUAGES.items():
            assert "parse" not in await b.ok("create", path=name, file_text=text)


async def test_a_guess_does_not_keep_a_small_model_from_writing(bench: Any) -> None:
    async with bench({"a.go": LANGUAGES["a.go"][0]}, tools="small") as b:
        said = await b.ok("str_replace", path="a.go", old_str="return (1 + 2)", new_str="return (1 + 2")
        assert "seems to no longer parse" in said


async def test_python_is_parsed_here_where_the_sandbox_has_none(bench: Any, path_without_python: str) -> None:
    async with bench({"a.py": "x = (1)\n"}, env={"PATH": path_without_python}) as b:
        said = await b.ok("str_replace", path="a.py", old_str="(1)", new_str="(1")
        assert "The file seems to no longer parse: line 1: syntax error" in said


def test_every_language_has_its_grammar_and_a_name() -> None:
    assert len({name for name in GRAMMARS if name != "tsx"}) == 12
    assert language_of("src/A.TSX") == "tsx" and language_of("Makefile") is None


HOSTILE = {
    "a file": "open('/etc/passwd')",
    "a socket": "import socket; socket.socket()",
    "a process": "import os; os.fork()",
    "a program": "import os; os.execv('/bin/true', ['true'])",
    "code": "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "another process": "import os; os.kill(os.getppid(), 9)",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter is for x86-64")
@pytest.mark.parametrize("name", HOSTILE)
def test_the_parsing_process_cannot_reach_anything(name: str) -> None:
    code = "import socket, mmap, os; from qcode_tools.parsing.seal import seal; assert seal()\n"
    check = f"try:\n    {HOSTILE[name]}\nexcept PermissionError:\n    print('refused')\n"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", code + check], capture_output=True, text=True, check=False, cwd="/"
    )
    assert ran.stdout.strip() == "refused", ran.stderr


async def test_a_parser_that_is_killed_is_started_again() -> None:
    parser = Parser()
    assert await parser.errors("go", b"package a\n") == []
    assert parser.process is not None
    os.kill(parser.process, signal.SIGKILL)
    # The first may still have reached the one that was killed.
    answers = [await parser.errors("go", b"package a\nfunc (\n") for _ in range(2)]
    assert answers[-1]


async def test_a_parser_that_hangs_is_ended_and_started_again() -> None:
    parser = Parser(seconds=2)
    await until_sound(parser)
    assert parser.process is not None
    os.kill(parser.process, signal.SIGSTOP)
    assert await parser.errors("go", b"package a\n" * 50_000) is None
    assert parser.process is None
    await until_sound(parser)


async def until_sound(parser: Parser) -> None:
    async with asyncio.timeout(120):
        while await parser.errors("go", b"package a\n") != []:
            continue


async def test_deep_and_odd_text_is_answered_or_given_up_and_never_fatal() -> None:
    parser = shared_parser()
    for language in ("javascript", "python", "cpp", "ruby", "bash"):
        for text in (b"(" * 20_000, b"\xff\xfe\0" * 1000, b"{[(" * 5_000, b"`" * 9_999, b"<<A\n" * 1_000):
            await parser.errors(language, text)
        assert await parser.errors("go", b"package a\n") == []


async def test_requests_at_once_get_their_own_answers() -> None:
    parser = shared_parser()
    texts = [b"package a\n" + b"\n" * n + b"func f( {\n}\n" for n in range(20)]
    found = await asyncio.gather(*(parser.errors("go", text) for text in texts))
    assert [issues and issues[0].first for issues in found] == [n + 2 for n in range(20)]
