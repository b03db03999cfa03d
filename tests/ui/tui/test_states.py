"""How the screen looks, one state a file: every line with the name of each colour in it.

SNAPSHOTS=update writes the files anew; look at the difference before you commit it.
"""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from calls import edit
from rich.style import Style
from waiting import come_about

from qcode.deltas import TextDelta, ThinkingDelta, ToolCallDelta
from qcode.events import ApprovalAsked, StepStarted
from qcode.messages import ToolCall
from qcode.ui.tui.app import Tui
from qcode.ui.tui.blocks import Said
from qcode.ui.tui.commands import KEYS
from qcode.ui.tui.complete import Choice
from qcode.ui.tui.palette import Palette
from qcode_tools.spec import Effect

FOLDER = Path(__file__).parent / "snapshots"
SETTLED_S = 30.0
"""In which what was seen to come has wholly come."""

OLD, NEW = "    return sum(xs) / len(x)", "    return sum(xs) / len(xs)"


def looks(app: Tui) -> str:
    """The screen's text; where the colours change, their names: {text colour/ground colour bold}."""
    palette = app.look.palette
    names = {getattr(palette, name): name for name in Palette.__slots__ if str(getattr(palette, name)).startswith("#")}

    def named(colour: object) -> str:
        return names.get(getattr(colour, "name", ""), "-")

    def manner(style: Style) -> str:
        return "".join(f" {name}" for name in ("bold", "dim", "reverse") if getattr(style, name))

    lines = []
    for strip in app.screen._compositor.render_strips():
        line, last = "", ""
        for segment in strip:
            style = segment.style
            if style is None or not (segment.text.strip() or style.reverse):
                line += segment.text
                continue
            mark = f"{{{named(style.color)}/{named(style.bgcolor)}{manner(style)}}}"
            line += (mark if mark != last else "") + segment.text
            last = mark
        lines.append(line.rstrip())
    text = "\n".join(lines) + "\n"
    text = re.sub(r"qcode( *\{[^}]*\})? ?\d+\.\d+\.\d+", r"qcode\1 VERSION", text)
    # A speed is shown after half a second of writing: on a slow machine only.
    text = re.sub(r" · [\d.,]+ tok/s", "", re.sub(r"\d+(\.\d+)? s\b", "N s", text))
    return re.sub(r"scripted:script\.jsonl", "MODEL", text)


async def compare(name: str, look: Callable[[], str]) -> None:
    """The screen comes to look like the file."""
    file = FOLDER / f"{name}.txt"
    if os.environ.get("SNAPSHOTS") == "update":
        await asyncio.sleep(2)
        FOLDER.mkdir(exist_ok=True)
        file.write_text(look(), encoding="utf-8")
    wanted = file.read_text(encoding="utf-8")
    with contextlib.suppress(AssertionError):
        await come_about(lambda: look() == wanted, within_s=SETTLED_S)
    assert look() == wanted


async def test_the_beginning(screen):
    async with screen(size=(80, 10)) as seen:
        await seen.until("none", "main", gone="starting")
        await compare("beginning", lambda: looks(seen.app))


ANSWERS = [{"text": edit("src/average.py", OLD, NEW)}, {"text": "**Done**: see `mean`.\n\n- one\n- two"}]


async def finished(seen) -> Callable[[], str]:
    """How the screen looks after a turn."""
    await seen.type("fix it\n")
    await seen.until("finished", "two")
    return lambda: re.sub(r"(\{[^}]*\})? +N s(?=\n)", "", looks(seen.app))


async def test_a_finished_turn(screen):
    async with screen(*ANSWERS, size=(80, 24)) as seen:
        await compare("finished", await finished(seen))


async def test_a_finished_turn_is_the_same_in_light_colours(screen):
    async with screen(*ANSWERS, size=(80, 24), theme="light") as seen:
        await compare("finished", await finished(seen))
        assert seen.app.look.palette.name == "qcode-light"


async def test_a_finished_turn_without_colours(screen, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with screen(*ANSWERS, size=(80, 24)) as seen:
        without = await finished(seen)
        await compare("finished_without_colours", without)
        assert set(re.findall(r"\{([^ }]*)", without())) == {"-/-"}
        await seen.type("/he")
        await seen.until("/help")
        await compare("completions_without_colours", lambda: "".join(looks(seen.app).splitlines(keepends=True)[-4:]))


async def test_a_finished_turn_in_a_narrow_terminal(screen):
    async with screen(*ANSWERS, size=(40, 24)) as seen:
        await compare("finished_narrow", await finished(seen))


async def test_an_edit_that_is_being_written(screen):
    async with screen(size=(80, 16)) as seen:
        await seen.until("none", "main", gone="starting")
        new = "    if not xs:\n        return 0.0\n    return sum(xs) / le"
        seen.app.see(StepStarted(step=1))
        for name, text in (("command", "str_replace"), ("path", "src/average.py"), ("old_str", OLD), ("new_str", new)):
            seen.app.see(ToolCallDelta(index=0, name="str_replace_editor", argument=name, text=text))
        await seen.until("/ le")
        await compare("writing", lambda: looks(seen.app))


async def test_thinking_while_it_goes_on_and_folded(screen):
    async with screen(size=(80, 16)) as seen:
        await seen.until("none", "main", gone="starting")
        seen.app.see(StepStarted(step=1))
        seen.app.see(ThinkingDelta(text="The mean of an empty list divides by zero. " * 8))
        await seen.until("thinking…", "by zero")
        await compare("thinking", lambda: looks(seen.app))
        seen.app.see(TextDelta(text="It divides by zero."))
        await seen.until("thought for", "It divides")
        await compare("thought", lambda: looks(seen.app))


@pytest.mark.parametrize("width", [80, 40])
async def test_a_prompt_that_is_read(screen, width):
    prompt = {"total": 9000, "cached": 3000, "seconds": 900}
    async with screen({"text": "x", "prefill": prompt}, size=(width, 10)) as seen:
        await seen.type("go\n")
        await seen.until("reading", "left")

        def look() -> str:
            shown = re.sub(r"[\d.,]+k?/9.0k", "N/9.0k", looks(seen.app))
            shown = re.sub(r"N s left|\d+ min left", "TIME left", shown)
            return re.sub(r"(\{accent/ground\})?━*(\{faint/ground\}─)─*", r"\2", shown)

        await compare(f"reading_{width}", look)
        await seen.press("escape")
        await seen.until("interrupted")


async def test_history_to_pick_from(screen, tmp_path):
    said = ["fix the mean", "write a test for it", "why is the list empty?"]
    (tmp_path / "recall.jsonl").write_text("".join(json.dumps(words) + "\n" for words in said))
    async with screen(size=(80, 12)) as seen:
        await seen.until("none", "main", gone="starting")
        await seen.press("ctrl+r")
        await seen.until("History", "fix the mean")
        await seen.press("down")
        await compare("history", lambda: looks(seen.app))


async def test_help(screen):
    async with screen(size=(80, 28)) as seen:
        await seen.until("none", "main", gone="starting")
        seen.app.say(Said(KEYS))
        await seen.until("Ctrl-C twice leaves", "Commands")
        await compare("help", lambda: looks(seen.app))


async def test_an_error(screen):
    async with screen({"error": "refused", "message": "the key was not accepted"}, size=(80, 14)) as seen:
        await seen.type("go\n")
        await seen.until("not accepted")
        await compare("error", lambda: looks(seen.app))


async def test_a_question(screen):
    async with screen(size=(80, 20)) as seen:
        await seen.until("none", "main", gone="starting")
        asked = ApprovalAsked(
            call=ToolCall(id="1", name="bash", arguments={"command": "rm -rf build && make"}),
            effect=Effect.EXEC,
            reason="`rm -rf build` does more than read",
            rule="allow shell(make *)",
            preview="rm -rf build\nmake",
        )
        question = asyncio.create_task(seen.app.questions.approve(asked))
        await seen.until("Allow bash?")
        await come_about(lambda: seen.app.questions.panel.armed)
        await compare("question", lambda: looks(seen.app))
        await seen.press("n")
        assert (await question).verdict == "no"


async def test_completions(screen):
    async with screen(size=(60, 14)) as seen:
        await seen.until("none", "main", gone="starting")
        seen.app.popup.offer([Choice("help", "keys and commands"), Choice("mode", "plan, ask"), Choice("quit")], "/")
        await seen.until("/quit")
        await compare("completions", lambda: looks(seen.app))


@pytest.mark.parametrize(("width", "height"), [(40, 10), (24, 6)])
async def test_a_small_terminal_is_still_usable(screen, width, height):
    async with screen({"text": "All good."}, size=(width, height)) as seen:
        await seen.type("go on\n")
        await seen.until("All good.", "yolo")
        assert len(seen.lines) == height and all(len(line) <= width for line in seen.lines)


async def test_a_question_in_a_small_terminal_shows_its_keys(screen):
    async with screen({"text": edit("src/average.py", OLD, NEW)}, mode="ask", size=(40, 10)) as seen:
        await seen.type("fix it\n")
        await seen.until("Allow", "y yes", "ask")
        await seen.press("escape")
        await seen.until("interrupted")
