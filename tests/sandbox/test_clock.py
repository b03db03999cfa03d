"""The clock on the wall jumps while qcode works: no deadline comes too early or too late, no sandbox of another's is
taken for a left one, no name is given twice (feature 28)."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from calls import call, committed, scripted
from clocks import HOUR, LIBRARY, Clock
from outside import SOON, mark, processes
from waiting import come_about

from qcode_sandbox import Source

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime makes clocks jump: apt-get install faketime"),
]

JUMPS = (HOUR, -HOUR, 1, 12 * HOUR)
"""Seconds from the real time: steps forth and back, a leap second, and what a resumed laptop finds."""

HOLDER = """
import asyncio, json, sys, time
from pathlib import Path
from qcode_sandbox import BubblewrapSpec, DockerSpec, Source, open_sandbox

kind, root, word = sys.argv[1:]

async def main():
    made = BubblewrapSpec if kind == "bubblewrap" else DockerSpec
    running = None
    async with open_sandbox(made(source=Source(Path(root), ["a.txt"]))) as box:
        print("open", flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            match line:
                case "clock":
                    answer = time.time()
                case "long":
                    script = f"(exec -a {word} sleep {word}) & until [[ -e go ]]; do sleep 0.1; done; rm go; echo fine"
                    running = asyncio.ensure_future(box.exec(script, timeout_s=900))
                    answer = None
                case "over":
                    await box.write("go", b"")
                    result = await running
                    answer = [result.output, result.timed_out]
                case "short":
                    answer = (await box.exec("sleep 5000", timeout_s=1)).timed_out
                case "use":
                    await box.write("b.txt", b"b")
                    said = (await box.shell("cat a.txt b.txt", timeout_s=900)).output
                    answer = [said, (await box.read("b.txt")).decode(), "+b" in await box.patch()]
            print(json.dumps(answer), flush=True)

asyncio.run(main())
"""


class Holder:
    """A process that holds a sandbox and does with it what it is told."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def ask(self, word: str) -> object:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{word}\n".encode())
        async with asyncio.timeout(SOON):
            return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def holder(
    kind: str, tree: Source, word: str, environment: Mapping[str, str] | None = None, before: tuple[str, ...] = ()
) -> AsyncIterator[Holder]:
    command = [*before, sys.executable, "-P", "-c", HOLDER, kind, str(tree.root), word]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdin and process.stdout
        async with asyncio.timeout(SOON):
            assert await process.stdout.readline() == b"open\n"
        yield Holder(process)
        process.stdin.close()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


USED = ["a\nb", "b", True]


async def test_deadlines_go_on_as_if_nothing_had_happened(kind: str, tree: Source, tmp_path: Path) -> None:
    clock, word = Clock(tmp_path / "clock"), mark()
    async with holder(kind, tree, word, clock.environment) as held:
        for jump in JUMPS:
            await held.ask("long")
            await come_about(lambda: processes(word), "nothing runs inside")
            clock.jump_to(jump)
            told = await held.ask("clock")
            assert isinstance(told, float)
            assert clock.is_seen(told)
            assert await held.ask("use") == USED
            assert await held.ask("short") is True
            assert await held.ask("over") == ["fine\n", False]


async def test_a_sandbox_is_not_taken_for_a_left_one(kind: str, tree: Source, tmp_path: Path) -> None:
    # Of one in another process namespace only the lease can tell; of one in this, its process.
    apart = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if shutil.which("unshare") is None or await (await asyncio.create_subprocess_exec(*apart, "true")).wait() != 0:
        pytest.skip("no other process namespace can be made here")
    clock = Clock(tmp_path / "clock")
    async with holder(kind, tree, mark(), before=apart) as other, holder(kind, tree, mark()) as near:
        for jump in (HOUR, -HOUR):
            clock.jump_to(jump)
            async with holder(kind, tree, mark(), clock.environment) as new:
                told = await new.ask("clock")
                assert isinstance(told, float)
                assert clock.is_seen(told)
                for each in (new, other, near):
                    assert await each.ask("use") == USED


async def test_a_session_goes_on_and_tells_of_no_hours(kind: str, tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    repo = await asyncio.to_thread(committed, tmp_path / "repo")
    wait = call("bash", command="touch started; until [[ -e go ]]; do sleep 0.1; done; rm go started; echo fine")
    turns = [(wait, "Done.")] * len(JUMPS)
    model = scripted(tmp_path / "model.jsonl", *(answer for turn in turns for answer in turn))
    qcode = [sys.executable, "-P", "-m", "qcode", "--plain", "--mode", "yolo", "--repo", str(repo)]
    process = await asyncio.create_subprocess_exec(
        *qcode, "--sandbox", kind, "--model", model, env=clock.environment, stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdin and process.stdout
        for jump in JUMPS:
            process.stdin.write(b"go on\n")
            await come_about((repo / "started").exists, "the command does not run")
            clock.jump_to(jump)
            await asyncio.to_thread((repo / "go").touch)
            await come_about(lambda: not (repo / "started").exists(), "the command does not end")
        process.stdin.close()
        async with asyncio.timeout(SOON):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said
    assert said.count(b"Done.") == len(JUMPS)
    spent = [float(seconds) for seconds in re.findall(r"after \d+ steps?, ([-\d.]+) s", said.decode())]
    assert len(spent) == len(JUMPS)
    assert all(0 <= seconds < HOUR / 2 for seconds in spent), said


NAMES = """
import sys, time
from pathlib import Path
from qcode.app.worktrees import make
from qcode.session.log import Session
assert time.time() == time.time()
made = [str(make(Path(sys.argv[1]), None).path) for _ in range(3)]
made += [Session(Path(sys.argv[2])).id for _ in range(3)]
print(*made, sep="\\n")
"""


async def test_names_differ_though_the_clock_says_the_same(tmp_path: Path) -> None:
    repo = await asyncio.to_thread(committed, tmp_path / "repo")
    stopped = {**Clock(tmp_path / "clock").environment, "FAKETIME": "2026-10-25 02:30:00"}
    del stopped["FAKETIME_TIMESTAMP_FILE"]
    command = [sys.executable, "-P", "-c", NAMES, str(repo), str(tmp_path / "sessions")]
    names = await asyncio.to_thread(subprocess.check_output, command, env=stopped, text=True)
    assert len(set(names.split())) == 6, names
