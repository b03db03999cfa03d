"""Keys that come faster than they are looked at, as on a machine that a model keeps busy."""

import pytest
from textual import events

from qcode.ui.tui.blocks import USER_MARK

BACK, LEFT, CLEAR, ENTER = ("backspace", "\x7f"), ("left", None), ("ctrl+u", "\x15"), ("enter", "\r")


def at_once(seen, *keys) -> None:
    for key in keys:
        name, character = key if isinstance(key, tuple) else (key, key)
        seen.app.post_message(events.Key(name, character))


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ([*"abx", BACK, "c"], "abc"),
        ([*"ac", LEFT, "b"], "abc"),
        ([*"rubbish", CLEAR, *"abc"], "abc"),
    ],
)
async def test_what_a_key_does_is_done_before_the_letters_behind_it(screen, keys, text):
    async with screen() as seen:
        await seen.until("none")
        at_once(seen, *keys)
        await seen.until(f"{USER_MARK} {text}")
        assert seen.app.composer.text == text


async def test_a_line_that_is_typed_at_once_is_sent_as_it_was_typed(screen):
    async with screen({"text": "Yes."}) as seen:
        await seen.until("none")
        at_once(seen, *"rubbish", CLEAR, *"fix itt", BACK, ENTER)
        await seen.until("Yes.", f"{USER_MARK} fix it")


async def test_commands_that_are_typed_at_once_are_carried_out_one_by_one(screen):
    async with screen() as seen:
        await seen.until("none")
        at_once(seen, *"/stats", ENTER, *"/clear", ENTER, *"/mo", ENTER, *"plan", ENTER, *"/mcp", ENTER)
        await seen.until("no MCP servers", "plan · ")
        assert seen.app.composer.text == ""
