"""A call that can no longer succeed is stopped while it is written, and the session goes on."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from calls import BUG, call, edit
from solving import script, solved

from qcode.agent.profile import PROFILES
from qcode.app.solve import Outcome
from qcode.codec import render
from qcode.events import AssistantDone, CallStopped, Event, Reason, ToolFinished
from qcode.messages import Stop
from qcode.session.fold import fold
from qcode.session.log import read_log
from qcode_tools.result import Status
from qcode_tools.toolsets import build_toolset

LONG = "\n".join(f"line_{number} = {number}" for number in range(600))
"""Twelve seconds at the pace of these answers: a check is done long before its end, however busy the machine is."""
SHORT = LONG[:400]


@pytest.fixture
def solve(tmp_path: Path):
    """Runs answers that come slowly, as a model's, against a small tree."""

    async def run(
        *answers: str | dict[str, Any], toolset: str = "swe", files: Mapping[str, str] = BUG
    ) -> tuple[Outcome, list[Event]]:
        slow = {"pace_s": 0.02, "usage": {"completion_tokens": 1000}}
        lines = [slow | ({"text": a} if isinstance(a, str) else a) for a in answers]
        return await solved(tmp_path, script(tmp_path, *lines), toolset=toolset, files=files)

    return run


def answers(events: list[Event]) -> list[AssistantDone]:
    return [event for event in events if isinstance(event, AssistantDone)]


def results(events: list[Event]) -> list[ToolFinished]:
    return [event for event in events if isinstance(event, ToolFinished)]


async def test_a_quote_that_is_not_in_the_file_ends_the_answer_before_its_replacement(solve) -> None:
    outcome, events = await solve(
        "I change it.\n" + edit("calc.py", "return a * b", LONG), edit("calc.py", "a - b", "a + b"), "Done."
    )
    first = answers(events)[0].message
    (asked,) = first.tool_calls
    assert first.text.strip() == "I change it."
    assert asked.arguments == {"command": "str_replace", "path": "calc.py", "old_str": "return a * b"}
    assert first.stop is Stop.CANCELLED
    assert (first.problems, first.usage.stopped_calls) == ((), 1)
    assert first.usage.completion_tokens < 1000
    (stopped,) = [event for event in events if isinstance(event, CallStopped)]
    result = results(events)[0].result
    assert stopped.call == asked
    assert result.status is Status.ERROR
    assert result.call_id == asked.id
    assert result.content == stopped.reason
    assert "old_str was not found in calc.py" in result.content
    assert "return a - b" in result.content
    assert outcome.reason is Reason.FINISHED
    assert outcome.usage.stopped_calls == 1
    assert "+    return a + b" in outcome.patch


@pytest.mark.parametrize(
    ("begun", "words"),
    [
        (edit("clac.py", LONG, "x"), "clac.py does not exist. Did you mean calc.py?"),
        (call("create_folder", path="x", text=LONG), "There is no tool 'create_folder'"),
        (
            call("str_replace_editor", command="insert", path="calc.py", insert_line=70, new_str=LONG),
            "insert_line must be 0 to 2",
        ),
        (call("str_replace_editor", command="create", path="calc.py/x", file_text=LONG), "is a file, not a directory"),
    ],
)
async def test_what_can_be_known_early_is_said_early(solve, begun: str, words: str) -> None:
    outcome, events = await solve(begun, "Done.")
    assert words in results(events)[0].result.content
    assert answers(events)[0].message.usage.completion_tokens < 1000
    assert (outcome.reason, outcome.usage.stopped_calls) == (Reason.FINISHED, 1)


async def test_a_call_that_may_succeed_is_never_stopped(solve) -> None:
    outcome, events = await solve(
        edit("calc.py", "def add(a, b):\n  return a - b", "def add(a, b):\n  return a + b\n" + SHORT),
        call("str_replace_editor", command="create", path="new/file.py", file_text=SHORT),
        call("str_replace_editor", command="insert", path="calc.py", insert_line=2, new_str=SHORT),
        "Done.",
    )
    assert [event.result.status for event in results(events)] == [Status.OK] * 3
    assert outcome.usage.stopped_calls == 0


async def test_a_call_behind_one_that_changes_files_waits_for_it(solve) -> None:
    make = call("str_replace_editor", command="create", path="new.py", file_text="x = 1\n")
    then = edit("new.py", "x = 1", SHORT)
    look = call("str_replace_editor", command="view", path="calc.py")
    _, events = await solve(f"{make}\n{then}", f"{look}\n{edit('gone.py', 'x', LONG)}", "Done.")
    assert [event.result.status for event in results(events)] == [Status.OK, Status.OK, Status.OK, Status.ERROR]
    first, second = [done.message for done in answers(events)[:2]]
    assert (first.usage.stopped_calls, second.usage.stopped_calls) == (0, 1)
    assert [call.arguments["path"] for call in second.tool_calls] == ["calc.py", "gone.py"]
    assert len({call.id for call in (*first.tool_calls, *second.tool_calls)}) == 4


@pytest.mark.parametrize("toolset", ["swe", "small"])
async def test_the_prompt_still_only_grows(solve, toolset: str) -> None:
    lost = edit("calc.py", "return a * b", LONG)
    if toolset == "small":
        lost = call("str_replace", path="calc.py", old_str="return a * b", new_str=LONG)
    end = ["Done."] if toolset == "swe" else [call("finish", summary="x")] * 2
    outcome, _ = await solve(lost, "Let me see.\n" + lost.replace("a * b", "a / b"), *end, toolset=toolset)
    log = list(read_log(outcome.session))
    system, specs = PROFILES[toolset].system, build_toolset(toolset).specs
    prompts = [
        render(system, fold(log[:index]), specs) for index, event in enumerate(log) if isinstance(event, AssistantDone)
    ]
    assert len(prompts) >= 3
    for before, after in pairwise(prompts):
        assert after.startswith(before)
    assert "<parameter=old_str>\nreturn a * b\n</parameter>\n</function>\n</tool_call><|im_end|>" in prompts[-1]
    assert LONG not in prompts[-1]


async def test_an_answer_that_starts_again_is_looked_at_anew(solve) -> None:
    lost = {"text": edit("gone.py", "x", "y").partition("<parameter=new_str>")[0], "error": "unavailable", "pace_s": 0}
    outcome, events = await solve(lost, edit("calc.py", "a - b", SHORT), "Done.")
    assert outcome.usage.stopped_calls == 0
    assert results(events)[0].result.status is Status.OK


async def test_the_same_lost_call_again_and_again_ends_the_turn(solve) -> None:
    outcome, _ = await solve(*[edit("gone.py", "x", LONG)] * 3)
    assert outcome.reason is Reason.LOOP
    assert outcome.exit_code == 3


async def test_a_backend_that_is_not_asked_to_stop_says_all(solve, tmp_path: Path) -> None:
    """A fast answer is whole before anything is known of it: its call is answered as it always was."""
    _, events = await solve({"text": edit("gone.py", "x", LONG), "pace_s": 0}, "Done.")
    assert answers(events)[0].message.tool_calls[0].arguments["new_str"] == LONG
    assert results(events)[0].result.content.startswith("gone.py does not exist.")
    assert "stopped" not in results(events)[0].result.content


NOTES = "\n".join(f"Note {number} says what add is for." for number in range(100))
WITH_NOTES = {"calc.py": f'{BUG["calc.py"]}\n\n"""\n{NOTES}\n"""\n'}
RIGHT = "def add(a, b):\n    return a + b\n"
FINISH = [call("finish", summary="x")] * 3


async def test_a_rewrite_that_goes_on_to_copy_the_file_is_taken_as_it_is(solve) -> None:
    copied = call("rewrite", path="calc.py", new_code=f'{RIGHT}\n\n"""\n{NOTES}\n"""')
    outcome, events = await solve(copied, *FINISH, toolset="small", files=WITH_NOTES)
    first = answers(events)[0].message
    assert first.tool_calls[0].arguments["new_code"].strip() == RIGHT.strip()
    assert (first.stop, first.problems, first.usage.stopped_calls) == (Stop.TOOL_CALLS, (), 1)
    assert first.usage.completion_tokens < 500
    assert results(events)[0].result.status is Status.OK
    assert outcome.patch.count("\n+") == 2, "the file's name and one line"
    assert "+    return a + b" in outcome.patch
    assert not [event for event in events if isinstance(event, CallStopped)]


async def test_a_rewrite_that_says_something_new_behind_the_function_is_written_to_its_end(solve) -> None:
    helper = "def minus(a, b):\n    return a - b\n"
    whole = f'{RIGHT}\n\n{helper}\n\n"""\nAnother.\n{SHORT}\n"""'
    outcome, events = await solve(
        call("rewrite", path="calc.py", new_code=whole), *FINISH, toolset="small", files=WITH_NOTES
    )
    assert answers(events)[0].message.tool_calls[0].arguments["new_code"] == whole
    assert outcome.usage.stopped_calls == 0
    assert "+def minus" in outcome.patch
