import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from calls import Qcode, call, edit, git

FIX = "The sign is wrong. " + edit("calc.py", "a - b", "a + b")


def test_a_run_in_a_work_tree_leaves_the_repository_alone(qcode: Qcode, repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    (repo / "calc.py").write_text("not committed\n", encoding="utf-8")
    common = ("run", "--repo", repo, "--task", repo / "issue.md", "--sandbox", "none")
    done = qcode(*common, "--worktree", "try", "--model", script(FIX, "Done."))
    assert done.returncode == 0, done.stderr
    (tree,) = (Path(os.environ["XDG_STATE_HOME"]) / "qcode" / "worktrees").glob("*/try")
    assert str(tree) in done.stderr
    assert "a + b" in (tree / "calc.py").read_text(encoding="utf-8")
    assert git(tree, "branch", "--show-current").strip() == "qcode/try"
    assert (repo / "calc.py").read_text(encoding="utf-8") == "not committed\n"
    assert "1" in qcode("sessions", "list", "--repo", repo).stdout, "its sessions are the repository's"
    assert json.loads(qcode("sessions", "list", "--repo", repo, "--json").stdout)[0]["cwd"] == str(tree)

    done = qcode(*common, "--worktree", "--model", script("There is nothing to do."))
    assert "the work tree is removed" in done.stderr
    assert git(repo, "worktree", "list").count("\n") == 2


def test_a_change_is_merged_with_what_the_user_did_meanwhile(qcode: Qcode, repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    lines = [f"line {number}\n" for number in range(30)]
    (repo / "n.txt").write_text("".join(lines), encoding="utf-8")
    git(repo, "add", "-A")
    git(repo, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "n")
    # The sandbox has a copy: the command changes the user's own file, as the user would.
    lines[18] = "the user's\n"
    (repo.parent / "users.txt").write_text("".join(lines), encoding="utf-8")
    meanwhile = call("bash", command=f"cp {repo.parent}/users.txt {repo}/n.txt")
    done = qcode(
        "run", "--repo", repo, "--task", repo / "issue.md", "--sandbox", "none", "--apply", "--model",
        script(edit("n.txt", "line 20\n", "the agent's\n"), meanwhile, "Done."),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (repo / "n.txt").read_text(encoding="utf-8")
    assert "the user's" in text
    assert "the agent's" in text


class Program:
    """Talks with `qcode --input stream-json`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.heard: list[dict[str, Any]] = []

    def say(self, **message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def until(self, **like: object) -> dict[str, Any]:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.heard.append(json.loads(line))
            if like.items() <= self.heard[-1].items():
                return self.heard[-1]
        raise AssertionError(f"no {like} in {self.heard}")

    async def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self.until(type="bye")
        return await self._process.wait()


async def start(repo: Path, model: str) -> Program:
    arguments = ["-P", "-m", "qcode", "--input", "stream-json", "--repo", str(repo), "--model", model]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, "--sandbox", "none", cwd=repo.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        limit=2**24,
    )  # fmt: skip
    return Program(process)


async def test_a_program_holds_a_session(repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    slow = {"text": "word " * 400, "pace_s": 0.05}
    program = await start(repo, script(FIX, "Done.", FIX, "Pity.", slow, "Bye."))
    await program.until(type="ready")
    program.say(type="user", text="repair it")
    asked = await program.until(event="approval_asked")
    program.say(type="approve", call_id="wrong", decision="once")
    assert "no question is open" in (await program.until(type="error"))["error"]
    program.say(type="approve", call_id=asked["call"]["id"], decision="once")
    assert (await program.until(event="turn_finished"))["text"] == "Done."
    program.say(type="user", text="/diff")
    assert "+    return a + b" in (await program.until(type="said"))["text"]

    program.say(type="nonsense")
    program.say(type="mode", mode="plan")
    assert "no message" in (await program.until(type="error"))["error"]
    await program.until(type="mode", mode="plan")
    program.say(type="user", text="again")
    assert (await program.until(event="tool_finished"))["result"]["status"] == "denied"
    await program.until(event="turn_finished")

    program.say(type="user", text="say much")
    await program.until(event="text_delta")
    program.say(type="interrupt")
    assert (await program.until(event="turn_finished"))["reason"] == "interrupted"
    program.say(type="user", text="and now?")
    assert await program.end() == 0
    assert [event["text"] for event in program.heard if event.get("event") == "turn_finished"][-1] == "Bye."
    assert program.heard[-1]["session"] == program.heard[0]["session"]


async def test_the_end_of_the_input_answers_what_is_asked(repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    program = await start(repo, script(FIX, "As you like."))
    program.say(type="user", text="repair it")
    await program.until(event="approval_asked")
    assert await program.end() == 0
    given = next(event for event in program.heard if event.get("event") == "approval_given")
    assert (given["decision"], given["advice"]) == ("no", "nobody is there any more to be asked")


def test_the_agents_change_is_committed_with_a_message_by_the_model(qcode: Qcode, repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    git(repo, "config", "user.name", "A User")
    git(repo, "config", "user.email", "a@localhost")
    messages = [
        {"type": "mode", "mode": "yolo"},
        {"type": "user", "text": "repair it"},
        {"type": "user", "text": "/commit"},
    ]
    done = qcode(
        "--input", "stream-json", "--repo", repo, "--sandbox", "bubblewrap", "--model",
        script(FIX, "Done.", "```\nAdd instead of subtracting\n```"),
        stdin="".join(json.dumps(message) + "\n" for message in messages),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert git(repo, "log", "-1", "--format=%s").strip() == "Add instead of subtracting", done.stdout[-2000:]
    assert git(repo, "status", "--porcelain") == ""


def test_a_small_model_that_is_asked_something_may_answer_in_words(qcode: Qcode, repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    said = ["What does calc.py do?", "Repair calc.py."]
    change = call("str_replace", path="calc.py", old_str="a - b", new_str="a + b")
    answers = ("It adds.", "I would repair it.", change, call("bash", command="true"), call("finish", summary="So."))
    done = qcode(
        "--input", "stream-json", "--repo", repo, "--sandbox", "bubblewrap", "--tools", "small", "--mode", "yolo",
        "--model", script(*answers),
        stdin="".join(json.dumps({"type": "user", "text": text}) + "\n" for text in said),
    )  # fmt: skip
    heard = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [event for event in heard if event.get("event") == "turn_finished"]
    assert [(end["reason"], end["steps"]) for end in ends] == [("finished", 1), ("finished", 4)], done.stderr
    assert ends[0]["text"] == "It adds."


@pytest.mark.parametrize(("mode", "runs"), [("yolo", True), ("ask", False), ("auto-edit", False), ("plan", False)])
def test_examples_are_tried_only_where_commands_run_without_a_question(
    qcode: Qcode,
    repo: Path,
    script,
    mode: str,
    runs: bool,  # type: ignore[no-untyped-def]
) -> None:
    (repo / "calc.py").write_text("open('RAN', 'w')\n\n\ndef add(a, b):\n    return a - b\n", encoding="utf-8")
    change = call("str_replace", path="calc.py", old_str="a - b", new_str="a + b")
    task = "`add` in calc.py is wrong.\n\n```python\n>>> add(2, 3)\n```\n\nexpected: `5`\n"
    done = qcode(
        "--input", "stream-json", "--repo", repo, "--sandbox", "bubblewrap", "--tools", "small", "--mode", mode,
        "--model", script(change, *[call("finish", summary="So.")] * 5),
        stdin=json.dumps({"type": "user", "text": task}) + "\n",
    )  # fmt: skip
    assert "turn_finished" in done.stdout, done.stderr
    assert (repo / "RAN").exists() is runs


def test_a_commit_by_nobody_is_refused_before_the_model_is_asked(qcode: Qcode, repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    git(repo, "config", "user.useConfigOnly", "true")
    messages = [
        {"type": "mode", "mode": "yolo"},
        {"type": "user", "text": "repair it"},
        {"type": "user", "text": "/commit"},
    ]
    done = qcode(
        "--input", "stream-json", "--repo", repo, "--sandbox", "bubblewrap", "--model", script(FIX, "Done."),
        stdin="".join(json.dumps(message) + "\n" for message in messages),
    )  # fmt: skip
    assert "git config --global user.name NAME" in done.stdout, done.stdout[-2000:]


async def test_a_command_that_is_interrupted_ends_and_the_session_goes_on(repo: Path, script) -> None:  # type: ignore[no-untyped-def]
    slow = {"text": "SUMMARY", "delay_s": 600}
    program = await start(repo, script("First. " * 60, "Second.", slow, "Well."))
    program.say(type="user", text="hi")
    await program.until(event="turn_finished")
    program.say(type="user", text="on")
    await program.until(event="turn_finished")
    program.say(type="user", text="/compact")
    heard = asyncio.ensure_future(program.until(type="error"))
    while not heard.done():
        program.say(type="interrupt")
        await asyncio.sleep(0.1)
    assert heard.result()["error"] == "interrupted"
    program.say(type="user", text="and now?")
    assert (await program.until(event="turn_finished"))["text"] == "Well."
    assert await program.end() == 0
