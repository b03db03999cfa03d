"""What is typed: lines, history, completion, pastes, queueing."""

import json
from pathlib import Path

from calls import call
from textual import events
from waiting import come_about

from qcode.ui.tui.blocks import USER_MARK
from qcode.ui.tui.recall import Recall

ENDLESS = {"text": "one two " + "three " * 1000 + "ten", "chunk": 4, "pace_s": 0.2}


async def test_enter_sends_and_shift_enter_begins_a_line(screen):
    async with screen({"text": "ok"}) as seen:
        await seen.type("first")
        await seen.press("shift+enter")
        await seen.type("second")
        await seen.press("ctrl+j")
        await seen.type("third\n")
        text = await seen.until("finished")
        assert [line.strip() for line in text.splitlines()[3:6]] == [f"{USER_MARK} first", "second", "third"]


def waits_for(file: Path) -> dict[str, str]:
    """An answer that calls a command which goes on when there is a file."""
    return {"text": call("bash", command=f"until [ -e {file} ]; do sleep 0.05; done")}


async def test_typing_while_the_model_works_waits_for_its_turn_and_is_shown(screen, tmp_path):
    async with screen(waits_for(tmp_path / "go"), {"text": "one two"}, {"text": "second answer"}) as seen:
        await seen.type("go\n")
        await seen.until("running bash")
        await seen.type("then this\n")
        await seen.until("queued  then this")
        (tmp_path / "go").touch()
        await seen.until("second answer", f"{USER_MARK} then this", gone="queued")


async def test_escape_stops_the_model_keeps_what_was_done_and_gives_back_what_waited(screen):
    async with screen(ENDLESS, {"text": "never"}) as seen:
        await seen.type("go\n")
        await seen.until("one two")
        await seen.type("then this\n")
        await seen.until("queued")
        await seen.press("escape")
        text = await seen.until("interrupted", gone="queued")
        assert "one two" in text and "ten" not in text
        await come_about(lambda: seen.app.composer.text == "then this")


async def test_what_fills_the_window_is_still_known_after_an_interrupt(screen):
    first = {"text": "First.", "usage": {"prompt_tokens": 5000, "completion_tokens": 10}}
    async with screen(first, ENDLESS) as seen:
        await seen.type("go\n")
        await seen.until("finished", "5.0k")
        await seen.type("on\n")
        await seen.until("one two")
        await seen.press("escape")
        await seen.until("interrupted")
        assert "5.0k" in seen.lines[-1]


async def test_words_for_the_next_step_are_steered(screen, tmp_path):
    async with screen(waits_for(tmp_path / "go"), {"text": "heard"}) as seen:
        await seen.type("go\n")
        await seen.until("running bash")
        await seen.type("/steer use tabs\n")
        await seen.until("for its next step: use tabs")
        (tmp_path / "go").touch()
        await seen.until("for its next step: use tabs", "heard", "finished")


async def test_up_and_down_go_through_what_was_typed_and_the_next_session_knows_it(screen, tmp_path):
    async with screen({"text": "a"}, {"text": "b"}) as seen:
        await seen.type("alpha\n")
        await seen.until("finished")
        await seen.type("beta\n")
        await seen.until("b\n")
        await seen.type("draft")
        await seen.press("up", "up")
        await come_about(lambda: seen.app.composer.text == "alpha")
        await seen.press("down", "down")
        await come_about(lambda: seen.app.composer.text == "draft")
    assert Recall(tmp_path / "recall.jsonl").entries == ["alpha", "beta"]


async def test_ctrl_r_searches_the_history(screen, tmp_path):
    (tmp_path / "recall.jsonl").write_text("".join(json.dumps(f"entry number {n}") + "\n" for n in range(40)))
    async with screen() as seen:
        await seen.until("none")
        await seen.press("ctrl+r")
        await seen.until("History", "entry number 39")
        await seen.type("ber 7")
        await seen.press("enter")
        await seen.until("entry number 7", gone="History")
        await come_about(lambda: seen.app.composer.text == "entry number 7")


async def test_a_file_is_completed_after_an_at_sign(screen):
    async with screen() as seen:
        await seen.until("none")
        await seen.type("look at @avg")
        await seen.until("@src/average.py")
        await seen.press("tab")
        await come_about(lambda: seen.app.composer.text == "look at @src/average.py ")


async def test_a_file_name_with_escape_sequences_reaches_no_terminal(screen, repository):
    (repository / "evil\x1b[31mred.py").touch()
    async with screen() as seen:
        await seen.until("none")
        await seen.type("@")
        text = await seen.until("@README.md")
        assert "\x1b" not in text and "evil" not in text


async def test_a_command_is_completed_and_run(screen):
    async with screen(size=(90, 90)) as seen:
        await seen.until("none")
        await seen.type("/he")
        await seen.until("/help", "keys and commands")
        await seen.press("enter")
        await seen.press("enter")
        await seen.until("Ctrl-C twice leaves", "Commands", "vim keys in the input")


async def test_an_unknown_command_is_said_and_a_path_goes_to_the_model(screen):
    async with screen({"text": "that is a path"}) as seen:
        await seen.until("none")
        await seen.type("/hepl\n")
        await seen.until("there is no command /hepl")
        await seen.type("/etc/hosts is wrong\n")
        await seen.until("that is a path")


async def test_a_long_paste_is_a_mark_and_is_sent_in_full(screen, tmp_path):
    async with screen({"text": "read"}) as seen:
        await seen.until("none")
        whole = "\n".join(f"line {n}" for n in range(1234))
        await seen.type("see ")
        seen.app.post_message(events.Paste(whole))
        await seen.until("[pasted 1,234 lines]")
        await seen.press("enter")
        await seen.until("read", "finished")
        log = next((tmp_path / "sessions").glob("*.jsonl")).read_text()
        assert json.dumps(f"see {whole}")[1:-1] in log


async def test_a_short_paste_keeps_its_lines_and_one_with_hidden_characters_is_marked(screen):
    async with screen() as seen:
        await seen.until("none")
        seen.app.post_message(events.Paste("a\r\nb"))
        await come_about(lambda: seen.app.composer.text == "a\nb")
        seen.app.post_message(events.Paste("\x1b]0;owned\x07"))
        text = await seen.until("with invisible characters")
        assert "\x1b" not in text


async def test_a_paste_without_measure_is_refused_in_one_line(screen):
    async with screen() as seen:
        await seen.until("none")
        seen.app.post_message(events.Paste("x" * 4_000_001))
        await seen.until("too large")
        await come_about(lambda: seen.app.composer.text == "")


async def test_a_command_of_ones_own_runs_in_the_sandbox(screen, repository):
    async with screen() as seen:
        await seen.until("none")
        await seen.type("!echo $((6*7))\n")
        await seen.until("! echo $((6*7))", "42")


async def test_vim_keys_on_request(screen):
    async with screen(vim=True) as seen:
        await seen.until("none")
        await seen.type("one two three")
        await seen.press("escape", "0", "d", "w")
        await come_about(lambda: seen.app.composer.text == "two three")
        await seen.press("A", "!", "escape", "u", "u")
        await seen.press("d", "d", "i", "x")
        await come_about(lambda: seen.app.composer.text == "x")


async def test_an_editor_of_ones_own_changes_the_input(screen, tmp_path, monkeypatch):
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\nprintf "\\nand more\\n" >> "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    async with screen() as seen:
        await seen.until("none")
        await seen.type("begin")
        await seen.press("ctrl+g")
        await seen.until("cannot be given to an editor")  # a headless screen has no terminal to give


def test_history_is_bounded_and_private(tmp_path: Path) -> None:
    recall = Recall(tmp_path / "deep" / "history")
    for number in range(1500):
        recall.add(f"entry {number}")
    recall.add(" a secret")
    again = Recall(tmp_path / "deep" / "history")
    assert len(again.entries) <= 1001 and again.entries[-1] == "entry 1499"
    assert (tmp_path / "deep" / "history").stat().st_mode & 0o077 == 0
