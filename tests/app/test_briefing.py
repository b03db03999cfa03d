"""What a session is told of what people wrote for the agent, and how it is made shorter on request."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calls import call, edit
from talking import work

from qcode.app import commands
from qcode.app.conversation import Conversation
from qcode.app.options import RunOptions
from qcode.app.wiring import converse
from qcode.config.paths import config_dir
from qcode.config.trust import examine, grant
from qcode.errors import ConfigError
from qcode.events import Compacted, GuideShown, Reason
from qcode.instructions.found import readable_files
from qcode.messages import Assistant, Tool, User
from qcode.policy.policy import Mode
from qcode.session.fold import fold
from qcode.session.log import read_log

Talk = Callable[..., Conversation]


@pytest.fixture
def told(home: Path, tmp_path: Path) -> Talk:
    """A conversation in the trusted repository; what is wrong in its instructions is added to `notices`."""
    script = tmp_path / "script.jsonl"

    def make(
        *answers: str | dict[str, Any], trust: bool = True, sandbox: str = "bubblewrap", resume: Path | None = None
    ) -> Conversation:
        lines = [json.dumps({"text": a} if isinstance(a, str) else a) for a in answers]
        script.write_text("\n".join(lines), encoding="utf-8")
        folder = grant(home, readable_files(home, home)) if trust else examine(home)
        options = RunOptions(repo=home, model=f"scripted:{script}", sandbox=sandbox, folder=folder)  # type: ignore[arg-type]
        return converse(options, approver=None, mode=Mode.YOLO, resume=resume)

    return make


def view(path: str) -> str:
    return call("str_replace_editor", command="view", path=path)


def users(talk: Conversation) -> list[str]:
    return [message.text for message in talk.history if isinstance(message, User)]


async def test_instructions_begin_the_first_message_and_only_that(told: Talk, home: Path) -> None:
    (home / "AGENTS.md").write_text("ROOT RULES", encoding="utf-8")
    async with told("One.", "Two.") as talk:
        await work(talk, "first words")
        await work(talk, "second words")
        first, second = users(talk)
        assert first.index("ROOT RULES") < first.index("first words")
        assert second == "second words"
        assert "ROOT" not in talk.request.system
        context = await commands.run(talk, "/context")
        assert context is not None
        assert "\ninstructions " in context.text
        assert talk.record.words == ["first words", "second words"]
        path = talk.session.path
    async with told("Three.", resume=path) as talk:
        await work(talk, "third words")
        assert users(talk)[2] == "third words"
        assert sum("ROOT RULES" in text for text in users(talk)) == 1


async def test_before_trust_nothing_of_the_repository_is_told(told: Talk, home: Path) -> None:
    (home / "AGENTS.md").write_text("ROOT RULES", encoding="utf-8")
    async with told("One.", trust=False) as talk:
        await work(talk, "words")
        assert users(talk) == ["words"]


async def test_a_subfolder_is_told_about_once_when_it_is_worked_in(told: Talk, home: Path) -> None:
    (home / "sub").mkdir()
    (home / "sub" / "AGENTS.md").write_text("SUB RULES", encoding="utf-8")
    (home / "sub" / "x.py").write_text("x = 1\n", encoding="utf-8")
    change = edit("sub/x.py", "x = 1", "x = 2")
    async with told(view("calc.py"), view("/workspace/sub/x.py"), change, "Done.", view("sub/x.py"), "Done.") as talk:
        events = await work(talk, "look")
        (shown,) = [event for event in events if isinstance(event, GuideShown)]
        assert (shown.path, "SUB RULES" in shown.told) == ("sub/AGENTS.md", True)
        kinds = [type(message) for message in talk.history]
        assert kinds == [User, Assistant, Tool, Assistant, Tool, User, Assistant, Tool, Assistant]
        path = talk.session.path
        before = talk.history
    assert fold(read_log(path)) == before
    async with told(view("sub/x.py"), "Done.", resume=path) as talk:
        await work(talk, "again")
        assert sum("SUB RULES" in text for text in users(talk)) == 1


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
async def test_a_skill_of_the_users_own_can_be_read_inside(told: Talk, sandbox: str) -> None:
    folder = config_dir() / "skills" / "tidy"
    (folder / "references").mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: tidy\ndescription: Tidies up.\n---\nSTEP ONE\n", encoding="utf-8")
    (folder / "references" / "more.md").write_text("STEP TWO\n", encoding="utf-8")
    root = "/tmp/qcode-skills/tidy" if sandbox == "bubblewrap" else str(folder)
    async with told(view(f"{root}/SKILL.md"), view(f"{root}/references/more.md"), "Done.", sandbox=sandbox) as talk:
        await work(talk, "tidy up")
        assert f"- tidy: Tidies up. ({root}/SKILL.md)" in users(talk)[0]
        results = [message.result.content for message in talk.history if isinstance(message, Tool)]
        assert "STEP ONE" in results[0]
        assert "STEP TWO" in results[1]
        assert (await talk.diff()).patch == ""


async def test_commands_of_the_users_own_are_said_to_the_model(told: Talk, home: Path) -> None:
    (home / ".qcode" / "commands").mkdir(parents=True)
    (home / ".qcode" / "commands" / "fix.md").write_text(
        "---\ndescription: Fix an issue\n---\nFix issue $ARGUMENTS.", encoding="utf-8"
    )
    async with told("Done.") as talk:
        said = await commands.run(talk, "/fix 12")
        assert said is not None
        assert said.turn == "Fix issue 12."
        listed = await commands.run(talk, "/help")
        assert listed is not None
        assert "Fix an issue (.qcode/commands/fix.md)" in listed.text
        asked = await commands.run(talk, "/init")
        assert asked is not None
        assert "AGENTS.md" in asked.turn
        with pytest.raises(ConfigError, match="did you mean /fix"):
            await commands.run(talk, "/fixx")


async def test_compact_and_back(told: Talk, home: Path) -> None:
    (home / "big.txt").write_text("a line of a large file\n" * 900, encoding="utf-8")
    async with told(view("big.txt"), "Seen.", view("long.txt"), "Seen.", "SUMMARY", "Going on.") as talk:
        nothing = await commands.run(talk, "/compact")
        assert nothing is not None
        assert "no conversation yet" in nothing.text
        await work(talk, "Look at it. " + "Mind this. " * 100)
        await work(talk, "Look again.")
        before = talk.history
        said = await commands.run(talk, "/compact the lines")
        assert said is not None
        assert said.text.startswith("shortened from about ")
        assert "SUMMARY" in users(talk)[0]
        assert users(talk)[0].startswith("Look at it.")
        shortened = talk.history
        again = await commands.run(talk, "/compact")
        assert again is not None
        assert "nothing has happened since" in again.text
        ended = (await work(talk, "Go on."))[-1]
        assert ended.reason is Reason.FINISHED  # type: ignore[union-attr]
        path = talk.session.path
        assert fold(read_log(path)) == talk.history
        assert talk.history[: len(shortened)] == shortened
        await commands.run(talk, "/compact undo")
        assert talk.history[: len(before)] == before
        assert [m.text for m in talk.history[len(before) :]] == ["Go on.", "Going on."]  # type: ignore[union-attr]
        with pytest.raises(ConfigError, match="was not shortened"):
            await commands.run(talk, "/compact undo")
    assert sum(isinstance(event, Compacted) for event in read_log(path)) == 1
