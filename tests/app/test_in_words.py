"""Where words are wanted and no call: what becomes of a call that the model writes all the same."""

from pathlib import Path
from typing import Any

import pytest
from calls import BUG, call, edit, git
from openai_script import serving
from talking import work

from qcode.app import commands
from qcode.app.conversation import Conversation
from qcode.app.options import RunOptions
from qcode.app.wiring import converse
from qcode.errors import ConfigError
from qcode.events import Compacted, ToolStarted
from qcode.messages import User
from qcode.policy.policy import Mode
from qcode.session.log import read_log

LOOK = call("bash", command="touch called.txt")
PARSED = {"text": "I look once more.", "calls": [{"name": "bash", "arguments": {"command": "touch called.txt"}}]}
WRITTEN = {"text": f"I look once more.\n{LOOK}"}
BARE = {"text": '{"name": "bash", "arguments": {"command": "touch called.txt"}}'}
LONG = {"text": "So it stands, and nothing of it is new. " * 700, "usage": None}


def listed(owner: str) -> dict[str, Any]:
    return {"/v1/models": (200, {"data": [{"id": "one", "owned_by": owner, "max_model_len": 32_768}]})}


def held(home: Path, url: str) -> Conversation:
    options = RunOptions(repo=home, base_url=url, model="one", sandbox="bubblewrap")
    return converse(options, approver=None, mode=Mode.YOLO)


@pytest.mark.parametrize("wrong", [PARSED, WRITTEN, BARE], ids=["parsed", "written", "bare"])
async def test_a_call_in_place_of_a_summary_is_not_run_and_the_summary_is_asked_for_again(
    home: Path, wrong: dict[str, Any]
) -> None:
    replies = (LONG, LONG, wrong, {"text": "SUMMARY of it."})
    async with serving(*replies, routes=listed("llamacpp")) as (url, server), held(home, url) as talk:
        await work(talk, "hello")
        await work(talk, "and then?")
        said = await commands.run(talk, "/compact")
        assert said is not None
        assert "shortened" in said.text
        first = talk.history[0]
        assert isinstance(first, User)
        assert "SUMMARY of it." in first.text
        assert "I look once more" not in first.text
        once, again = (body["messages"] for body in server.bodies[-2:])
        assert again[:-1] == once[:-1], "what was read stays read"
        assert "plain text only" in again[-1]["content"]
        events = list(read_log(talk.session.path))
        assert not any(isinstance(event, ToolStarted) for event in events)
        (done,) = [event for event in events if isinstance(event, Compacted)]
        assert done.usage.requests == 2, "both were paid for"
    assert not (home / "called.txt").exists()


async def test_a_model_that_only_calls_leaves_no_summary_and_no_half_of_one(home: Path) -> None:
    replies = (LONG, LONG, PARSED)
    async with serving(*replies, routes=listed("llamacpp")) as (url, server), held(home, url) as talk:
        await work(talk, "the word is JELLYFISH")
        await work(talk, "and then?")
        await commands.run(talk, "/compact")
        assert len(server.bodies) == 4
        (done,) = [event for event in read_log(talk.session.path) if isinstance(event, Compacted)]
        assert done.how == "cut"
        assert "I look once more" not in str(talk.history)
        assert "JELLYFISH" in str(talk.history)
    assert not (home / "called.txt").exists()


async def test_a_call_in_place_of_a_commits_message_is_neither_run_nor_the_message(home: Path) -> None:
    git(home, "config", "user.name", "A User")
    git(home, "config", "user.email", "a@localhost")
    replies = ({"text": edit("calc.py", "a - b", "a + b")}, {"text": "Done."}, PARSED, {"text": "Add, not subtract"})
    async with serving(*replies, routes=listed("llamacpp")) as (url, _), held(home, url) as talk:
        await work(talk, "fix the sign")
        await commands.run(talk, "/commit")
    assert git(home, "log", "-1", "--format=%s").strip() == "Add, not subtract"
    assert git(home, "show", "HEAD:calc.py") == BUG["calc.py"].replace("a - b", "a + b")
    assert not (home / "called.txt").exists()


async def test_vllm_cannot_begin_a_call_there(home: Path) -> None:
    async with serving(LONG, routes=listed("vllm")) as (url, server), held(home, url) as talk:
        await work(talk, "hello")
        await work(talk, "and then?")
        await commands.run(talk, "/compact")
        asked = server.bodies[-1]
        assert asked["tool_choice"] == "none"
        assert asked["tools"] == server.bodies[0]["tools"], "the prompt begins as before"
        form = str(asked["response_format"])
        assert "<tool_call" in form
        assert "<function=" in form


async def test_where_nothing_can_be_committed_the_model_is_not_asked_for_a_message(tmp_path: Path) -> None:
    folder = tmp_path / "no-git"
    folder.mkdir()
    made = call("str_replace_editor", command="create", path="new.txt", file_text="x")
    async with serving({"text": made}, {"text": "Done."}, routes=listed("llamacpp")) as (url, server):
        async with held(folder, url) as talk:
            await work(talk, "make it")
            with pytest.raises(ConfigError, match="not in a git repository"):
                await commands.run(talk, "/commit")
        assert len(server.bodies) == 2
