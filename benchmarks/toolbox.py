"""What the tools cost: searches against plain ripgrep, the map of a repository, edits, and going back.

python -P benchmarks/toolbox.py
"""

import asyncio
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from qcode_sandbox import HostSpec, Sandbox, Source, open_sandbox
from qcode_tools.result import Status
from qcode_tools.spec import ToolContext
from qcode_tools.symbols.tool import Symbols
from qcode_tools.toolsets import build_toolset

FILES = 50_000
SOURCES = 2_000
RUNS = 15
EDITED_MB = 10

_WORDS = ("alpha", "beta", "gamma", "value", "count", "index", "total", "buffer", "reader", "parse", "render", "store")


async def measure() -> list[str]:
    rows = ["| tools, in the host's sandbox | median | against |", "| --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows += await searches(wide_tree(root / "wide"))
        rows += await maps(source_tree(root / "sources"), root / "cache")
        rows += await edits(*edited_files(root / "edited"))
    return rows


async def searches(source: Source) -> list[str]:
    """grep and glob on a wide tree, and the same by ripgrep started directly."""
    async with open_sandbox(HostSpec(source=source)) as sandbox:
        call = caller(sandbox)

        async def plain(*arguments: str) -> None:
            await asyncio.to_thread(
                subprocess.run, ["rg", *arguments, "./"], cwd=sandbox.workdir, stdout=subprocess.DEVNULL, check=False
            )

        own, bare = await alternately(
            lambda: call("grep", pattern="needle_[0-9]+"), lambda: plain("--hidden", "-n", "needle_[0-9]+")
        )
        own_names, bare_names = await alternately(
            lambda: call("glob", pattern="**/f777*.txt"), lambda: plain("--files", "--hidden", "-g", "**/f777*.txt")
        )
    return [
        f"| grep, {FILES:,} files | {own:.0f} ms | {own / bare:.2f} times `rg` ({bare:.0f} ms); target: 1.2 |",
        f"| glob, the same tree | {own_names:.0f} ms | {own_names / bare_names:.2f} times `rg --files` "
        f"({bare_names:.0f} ms) |",
    ]


async def maps(source: Source, cache: Path) -> list[str]:
    """The map of a repository: never seen, seen by another session, seen by this one, and after one change."""
    async with open_sandbox(HostSpec(source=source)) as sandbox:
        cold, other = [], []
        for number in range(3):
            kept = cache / f"{number}.sqlite"
            for times in (cold, other):
                symbols = Symbols(kept)
                times.append(await timed(lambda symbols=symbols: symbols.map(sandbox, "parse the header")))
        again = [await timed(lambda: symbols.map(sandbox, "parse the header")) for _ in range(RUNS)]
        changed = []
        for number in range(RUNS):
            await sandbox.write("pkg0/m0.py", b"def fresh_%d(): pass\n" % number)
            changed.append(await timed(lambda: symbols.find(sandbox, "fresh")))
        first = await timed(sandbox.snapshot)
        snapshots = []
        for number in range(RUNS):
            await sandbox.write("pkg0/m0.py", b"def other_%d(): pass\n" % number)
            snapshots.append(await timed(sandbox.snapshot))
    size = sum((source.root / name).stat().st_size for name in source.files) / 1e6
    return [
        f"| map of {SOURCES:,} source files ({size:.0f} MB), first time ever | {middle(cold) / 1000:.1f} s | |",
        f"| the same, a new session | {middle(other):.0f} ms | |",
        f"| the same again | {middle(again):.0f} ms | |",
        f"| finding a name after one file changed | {middle(changed):.0f} ms | |",
        f"| remembering that tree, first | {first:.0f} ms | |",
        f"| remembering it after one change | {middle(snapshots):.0f} ms | |",
    ]


async def edits(source: Source, megabytes: float) -> list[str]:
    """A replacement in a large file, and one in a small one."""
    found = {}
    async with open_sandbox(HostSpec(source=source)) as sandbox:
        call = caller(sandbox)
        for name in ("large.txt", "small.py"):
            times = []
            for number in range(RUNS):
                old = f"value_{number:09} = compute" if name == "large.txt" else f"x{number} = {number}\n"
                new = f"changed_{number} = compute" if name == "large.txt" else f"x{number} = 'new'\n"
                change = {"command": "str_replace", "path": name, "old_str": old, "new_str": new}
                times.append(await timed(lambda change=change: call("str_replace_editor", **change)))
            found[name] = middle(times)
    return [
        f"| str_replace in a file of {megabytes:.0f} MB, written with fsync | {found['large.txt']:.0f} ms | |",
        f"| str_replace in a Python file of 2 kB, parsed and written with fsync | {found['small.py']:.0f} ms | |",
    ]


def edited_files(root: Path) -> tuple[Source, float]:
    """A large text file and a small Python file; and the size of the large one in MB."""
    root.mkdir()
    count = EDITED_MB * 1_000_000 // 40
    large = "".join(f"value_{number:09} = compute({number:09})\n" for number in range(count))
    (root / "large.txt").write_text(large, encoding="utf-8")
    (root / "small.py").write_text("".join(f"x{n} = {n}\n" for n in range(200)), encoding="utf-8")
    return Source(root, ["large.txt", "small.py"]), len(large) / 1e6


def wide_tree(root: Path) -> Source:
    """Many small files, some with what is looked for."""
    names = []
    for number in range(FILES):
        name = f"d{number % 250}/s{number % 7}/f{number}.txt"
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        found = f"needle_{number}\n" if number % 5_000 == 0 else ""
        path.write_text(f"file {number}\n" + "some text here\n" * 20 + found, encoding="utf-8")
        names.append(name)
    return Source(root, names)


def source_tree(root: Path) -> Source:
    """Python and TypeScript modules that define and call each other's functions, of 1 to 12 kB."""
    chance = random.Random(0)
    names, defined = [], []
    for number in range(SOURCES):
        python = number % 4 != 3
        name = f"pkg{number % 40}/m{number}.{'py' if python else 'ts'}"
        lines = []
        for _ in range(chance.randrange(4, 40)):
            function = f"{chance.choice(_WORDS)}_{chance.choice(_WORDS)}_{chance.randrange(9_000)}"
            calls = [chance.choice(defined) for _ in range(chance.randrange(4))] if defined else []
            if python:
                body = "".join(f"    item = {other}(item, {chance.randrange(99)})\n" for other in calls)
                lines.append(f"def {function}(item, count=0):\n    total = item\n{body}    return total\n\n\n")
            else:
                body = "".join(f"  item = {other}(item, {chance.randrange(99)});\n" for other in calls)
                head = f"export function {function}(item: number, count = 0): number"
                lines.append(f"{head} {{\n{body}  return item;\n}}\n\n")
            defined.append(function)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
        names.append(name)
    return Source(root, names)


def caller(sandbox: Sandbox) -> Callable[..., Awaitable[None]]:
    """Calls a tool as the loop does. Raises: RuntimeError where it answers with an error."""
    toolset = build_toolset("swe")

    async def call(name: str, **arguments: object) -> None:
        result = await toolset.run("call", name, arguments, ToolContext(sandbox, lambda text: None))
        if result.status is not Status.OK:
            raise RuntimeError(result.content)

    return call


async def alternately(one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Medians in milliseconds of two that are run in turn, so that a noisy moment meets both; the first pair warms."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS + 1):
        for work, into in ((one, times[0]), (other, times[1])):
            into.append(await timed(work))
    return middle(times[0][1:]), middle(times[1][1:])


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


def middle(times: list[float]) -> float:
    """The median."""
    return statistics.median(times)


if __name__ == "__main__":
    print("\n".join(asyncio.run(measure())))
