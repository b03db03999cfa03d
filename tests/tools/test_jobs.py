"""Commands that go on in the background, that want a terminal, or that ask where nobody answers."""

import re
from typing import Any

import pytest
from outside import processes
from waiting import come_about, mark


async def _until_ended(b: Any, number: int) -> str:
    return str(await b.ok("bash", command=f"job {number} wait 120"))


async def test_a_job_goes_on_while_other_things_are_done(bench: Any) -> None:
    async with bench() as b:
        await b.ok("bash", command="mkdir sub; cd sub; export WORD=kept; say() { echo said $WORD; }")
        said = await b.ok("bash", command="say; sleep 1; pwd; exit 5", background=True)
        assert said.startswith("Job 1 runs in the background.") and "job 1 kill" in said
        assert await b.ok("bash", command="pwd") == f"{b.root}/sub"
        ended = await _until_ended(b, 1)
        assert ended == f"said kept\n{b.root}/sub\n[job 1 has ended with exit code 5]"
        assert await b.ok("bash", command="job 1") == "[job 1 has ended with exit code 5; no new output]"


async def test_output_comes_in_parts_and_the_whole_is_in_a_file(bench: Any) -> None:
    async with bench() as b:
        waiting = "for i in 1 2; do echo $i; until [ -e go$i ]; do sleep 0.05; done; done; echo 3"
        started = await b.ok("bash", command=waiting, background="true")
        parts: list[str] = []

        async def told(line: str) -> bool:
            parts.append(await b.ok("bash", command="job 1 output"))
            return line in parts[-1].splitlines()

        for number in (1, 2):
            await come_about(lambda: told(str(number)))  # noqa: B023 - awaited at once
            assert "still runs" in parts[-1], "output is seen while the job runs"
            await b.ok("bash", command=f"touch go{number}")
        parts.append(await _until_ended(b, 1))
        seen = [line for part in parts for line in part.splitlines() if not line.startswith("[")]
        assert seen == ["1", "2", "3"]
        whole = re.search(r"(/\S+/output)\.", started)
        assert whole is not None
        assert "1\n" in await b.ok("bash", command=f"cat {whole[1]}") + "\n"


async def test_what_is_put_out_while_it_is_looked_at_is_shown_once(bench: Any) -> None:
    async with bench() as b:
        await b.ok("bash", command="for i in {1..400}; do echo $i; sleep 0.002; done", background=True)
        shown: list[str] = []
        part = ""
        for _ in range(3_000):
            part = await b.ok("bash", command="job 1 output")
            shown += [line for line in part.splitlines() if not line.startswith("[")]
            if "has ended" in part:
                break
        assert "has ended with exit code 0" in part
        assert shown == [str(number) for number in range(1, 401)]


async def test_a_job_is_ended_with_all_that_it_started(bench: Any) -> None:
    async with bench() as b:
        words, other = [mark() for _ in range(3)], mark()
        await b.ok("bash", command="setsid sleep {} & sleep {} & (sleep {})".format(*words), background=True)
        await b.ok("bash", command=f"sleep {other} & echo other", background=True)
        await come_about(lambda: all(processes(word) for word in (*words, other)))
        ended = await b.ok("bash", command="job 1 kill")
        assert "has ended with exit code 1" in ended
        await come_about(lambda: not any(processes(word) for word in words), "what a job started still runs")
        assert processes(other)
        await b.ok("bash", command="job 2 kill")


async def test_a_job_is_ended_as_soon_as_it_has_begun(bench: Any) -> None:
    async with bench() as b:
        for number in range(1, 9):
            await b.ok("bash", command="sleep 600", background=True)
            assert "has ended with exit code 1" in await b.ok("bash", command=f"job {number} kill")


async def test_a_job_that_puts_out_without_end_takes_bounded_room(bench: Any) -> None:
    async with bench() as b:
        started = await b.ok("bash", command="yes | head -c 40000000; echo the end", background=True)
        ended = await _until_ended(b, 1)
        assert ended.startswith("y\n") and "the end\n[job 1 has ended" in ended
        folder = re.search(r"(/\S+)/output\.", started)
        assert folder is not None
        size = await b.ok("bash", command=f"du -sb {folder[1]} | cut -f1")
        assert int(size) < 18_000_000
        assert await b.ok("bash", command="job 1") == "[job 1 has ended with exit code 0; no new output]"


async def test_wrong_calls_about_jobs_are_explained(bench: Any) -> None:
    async with bench() as b:
        assert "[exit code 127]" in await b.ok("bash", command="job 1"), "without a job it is a command like any other"
        await b.ok("bash", command="sleep 600 &", background=True)
        assert "there is no job 7: the jobs are 1" in await b.error("bash", command="job 7")
        assert "still runs; no new output" in await b.ok("bash", command="job 1 wait 0")
        await b.ok("bash", command="job 1 kill")


async def test_a_shell_that_is_ended_does_not_end_a_job(bench: Any) -> None:
    async with bench() as b:
        await b.ok("bash", command="sleep 2; echo survived", background=True)
        await b.error("bash", command="sleep 60", timeout=1)
        await b.ok("bash", command="exit 3")
        assert "survived" in await _until_ended(b, 1)


async def test_a_terminal_is_there_when_asked_for(bench: Any) -> None:
    async with bench() as b:
        seen = await b.ok("bash", command="test -t 0 && test -t 1 && tput cols; stty size", tty=True)
        assert seen.endswith("40 120")
        failed = await b.call("bash", command="exit 7", tty=True)
        assert failed.extra["exit_code"] == 7
        assert await b.ok("bash", command="read -p 'name? ' x; echo got:$x", tty=True) == "name? got:"


ASKING = {
    "python3 -c 'input(\"name? \")'": True,
    "python3 -c 'import getpass; getpass.getpass()' 2>&1": True,
    "cat </dev/tty": True,
    "git -c credential.helper= -c core.askPass= credential fill <<<'url=https://x.invalid'": True,
    "ls nowhere": False,
    "echo 'is this it?'": False,
}


@pytest.mark.parametrize("command", ASKING)
async def test_a_command_that_asked_is_told_that_nobody_answers(bench: Any, command: str) -> None:
    async with bench() as b:
        said = (await b.call("bash", command=command)).content
        assert ("asked for input" in said) is ASKING[command], said


async def test_a_command_that_waits_at_a_question_is_told_when_its_time_is_up(bench: Any) -> None:
    async with bench() as b:
        said = await b.error("bash", command="mkfifo f; printf 'Continue? [y/N] '; read x <>f", timeout=1)
        assert "timed out after 1 s" in said and "asked for input" in said
        plain = await b.error("bash", command="echo working; sleep 60", timeout=1)
        assert "asked for input" not in plain and "background: true" in plain
        silent = await b.error("bash", command="sleep 60", timeout=1)
        assert "asked for input" not in silent and "background: true" in silent
        terminal = await b.error("bash", command="less /etc/passwd", timeout=1, tty=True)
        assert "may have waited for a key" in terminal
