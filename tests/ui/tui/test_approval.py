"""The question before a call."""

import asyncio

from calls import call, edit
from textual import events
from waiting import come_about

from qcode.events import ApprovalAsked
from qcode.messages import ToolCall
from qcode_tools.spec import Effect

OLD, NEW = "    return sum(xs) / len(x)", "    return sum(xs) / len(xs)"
EDIT = {"text": edit("src/average.py", OLD, NEW)}


async def ask(seen):
    await seen.type("fix it\n")
    await seen.until("Allow str_replace_editor?", "y yes", "+    return sum(xs) / len(xs)")
    await come_about(lambda: seen.app.questions.panel.armed)


async def test_yes_lets_the_call_run(screen):
    async with screen(EDIT, {"text": "Done."}, mode="ask") as seen:
        await ask(seen)
        await seen.press("y")
        await seen.until("Done.", "finished", gone="Allow")


async def test_keys_typed_before_the_question_do_not_answer_it(screen):
    async with screen(mode="ask") as seen:
        await seen.until("ask", "none")
        call_ = ToolCall(id="1", name="bash", arguments={"command": "make"})
        # A busy machine may look at a key long after it was pressed.
        early = [events.Key("y", "y") for _ in range(4)]
        question = asyncio.create_task(
            seen.app.questions.approve(ApprovalAsked(call=call_, effect=Effect.EXEC, reason="why"))
        )
        await come_about(lambda: seen.app.questions.panel)
        for key in early[:3]:
            seen.app.post_message(key)
        await seen.until("Allow bash?", "yyy")
        await come_about(lambda: seen.app.questions.panel.armed)
        seen.app.post_message(early[3])
        await seen.until("Allow bash?", "yyyy")
        assert not question.done()
        await seen.press("y")
        assert (await question).verdict == "once"


async def test_no_with_words_reaches_the_model(screen, tmp_path):
    async with screen(EDIT, {"text": "As you wish."}, mode="ask") as seen:
        await ask(seen)
        await seen.press("tab")
        await seen.until("write what it should do instead")
        await seen.type("use statistics.mean\n")
        await seen.until("you said no: use statistics.mean", "As you wish.")
        log = next((tmp_path / "sessions").glob("*.jsonl")).read_text()
        assert "use statistics.mean" in log.split("tool_finished")[1]


async def test_always_shows_its_rule_and_is_not_asked_again(screen):
    again = {"text": edit("src/average.py", NEW, OLD)}
    async with screen(EDIT, again, {"text": "Twice."}, mode="ask") as seen:
        await ask(seen)
        await seen.until("a always:")
        await seen.press("a")
        await seen.until("always allowed from now on", "Twice.")


async def test_escape_at_the_question_stops_the_turn(screen, repository):
    async with screen(EDIT, {"text": "never"}, mode="ask") as seen:
        await ask(seen)
        await seen.press("escape")
        await seen.until("interrupted", gone="Allow")


async def test_invisible_characters_of_a_command_are_seen(screen):
    command = "echo safe \u202e; rm -rf x"
    async with screen({"text": call("bash", command=command)}, {"text": "x"}, mode="ask") as seen:
        await seen.type("go\n")
        text = await seen.until("Allow bash?")
        assert "\\u202e" in text and "\u202e" not in text


async def test_shift_tab_changes_the_mode_for_the_next_call(screen):
    async with screen(EDIT, {"text": "Done."}, mode="ask") as seen:
        await seen.until("none")
        await seen.press("shift+tab")
        await seen.until("auto-edit")
        await seen.type("fix it\n")
        text = await seen.until("Done.", "finished")
        assert "Allow" not in text
