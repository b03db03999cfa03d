"""The loop on the host sandbox with a scripted model: what the model is sent, and how turns end."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from calls import call, edit
from solving import script, solved

from qcode.agent.limits import Limits
from qcode.agent.profile import PROFILES
from qcode.app.solve import Outcome
from qcode.backends.openai_compat import payload
from qcode.codec import render
from qcode.events import AssistantDone, Event, Feedback, Reason, ToolFinished, TurnStarted, WentBack
from qcode.messages import User
from qcode.model import Request
from qcode.session.fold import fold
from qcode.session.log import read_log
from qcode_tools.result import Status
from qcode_tools.toolsets import build_toolset

Run = Callable[..., "object"]
FINISH = call("finish", summary="done")


@pytest.fixture
def solve(tmp_path: Path):
    """Runs answers against a small tree; gives the outcome and all events."""

    async def run(
        *answers: str | dict[str, object], toolset: str = "swe", limits: Limits | None = None, task: str = "fix it"
    ) -> tuple[Outcome, list[Event]]:
        return await solved(tmp_path, script(tmp_path, *answers), toolset=toolset, limits=limits, task=task)

    return run


def texts(events: list[Event], kind: type) -> list[str]:
    return [event.text for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("toolset", ["swe", "small"])
async def test_the_prompt_only_grows_at_its_end(solve, toolset: str) -> None:
    """Whatever happens: edits, errors, broken calls, unknown tools, words of the loop's own."""
    small = toolset == "small"
    change = edit("calc.py", "a - b", "a + b")
    if small:
        change = call("str_replace", path="calc.py", old_str="a - b", new_str="a + b")
    broken = "I go on.\n<tool_call>\n<function=bash>\n<parameter=command>\nec"
    talk = ["Hm."] if small else [""]
    end = [FINISH, FINISH, FINISH] if small else ["Done."]
    outcome, _ = await solve(
        {"text": call("bash", command="false"), "thinking": "I think aloud."}, broken, call("nothing", x="1"), change,
        *talk, call("bash", command="echo ok"),
        *end, toolset=toolset,
    )  # fmt: skip
    log = list(read_log(outcome.session))
    system, specs = PROFILES[toolset].system, build_toolset(toolset).specs
    prompts = [
        render(system, fold(log[:index]), specs) for index, event in enumerate(log) if isinstance(event, AssistantDone)
    ]
    assert len(prompts) >= 7 and not [event for event in log if isinstance(event, WentBack)]
    for before, after in pairwise(prompts):
        assert after.startswith(before)
    bodies = [
        payload.encoded({"tools": payload.tools(request), "messages": payload.messages(request)})
        for index, event in enumerate(log)
        if isinstance(event, AssistantDone)
        for request in [Request(system, fold(log[:index]), specs)]
    ]
    for before_body, after_body in pairwise(bodies):
        assert after_body.startswith(before_body.removesuffix(b"]}"))
    assert b"aloud" not in bodies[-1]


async def test_the_first_part_of_the_prompt_is_the_same_in_every_folder(solve, tmp_path: Path) -> None:
    _, events = await solve("Done.")
    system = PROFILES["swe"].system
    assert str(tmp_path) not in render(system, (), build_toolset("swe").specs)
    assert texts(events, TurnStarted) == ["fix it"]


async def test_an_answer_without_a_call_ends_the_turn(solve) -> None:
    outcome, _ = await solve("Nothing to do.")
    assert (outcome.reason, outcome.steps, outcome.patch) == (Reason.FINISHED, 1, "")


async def test_a_model_that_must_call_is_reminded_and_then_given_up(solve) -> None:
    outcome, events = await solve("I would…", "I could…", "I should…", "I will…", toolset="small")
    assert outcome.reason is Reason.NO_PROGRESS
    assert outcome.exit_code == 3
    assert len(texts(events, Feedback)) == 3


async def test_finishing_untried_is_objected_to_once(solve) -> None:
    change = call("str_replace", path="calc.py", old_str="a - b", new_str="a + b")
    outcome, events = await solve(FINISH, change, FINISH, call("bash", command="true"), FINISH, toolset="small")
    results = [event.result for event in events if isinstance(event, ToolFinished)]
    assert [result.status for result in results] == [Status.ERROR, Status.OK, Status.ERROR, Status.OK, Status.OK]
    assert "No file has been changed" in results[0].content
    assert "not run anything since" in results[2].content
    assert outcome.reason is Reason.FINISHED


async def test_a_small_model_is_shown_what_the_task_names_and_told_what_comes_next(solve) -> None:
    change = call("str_replace", path="calc.py", old_str="a - b", new_str="a + b")
    _, events = await solve(
        change, call("bash", command="false"), FINISH, toolset="small", task="add() in calc.py and gone.py subtracts"
    )
    (task,) = texts(events, TurnStarted)
    assert "This is calc.py:\n```python\ndef add(a, b):" in task
    assert "gone.py:" not in task
    results = [event.result.content for event in events if isinstance(event, ToolFinished)]
    assert results[0].endswith(PROFILES["small"].hints.after_change)
    assert results[1].endswith(PROFILES["small"].hints.after_failure)


async def test_who_looks_at_an_untried_change_is_told_to_try_it(solve) -> None:
    look = call("view", path="calc.py")
    change = call("str_replace", path="calc.py", old_str="a - b", new_str="a + b")
    _, events = await solve(look, change, look, call("bash", command="true"), FINISH, toolset="small")
    results = [event.result.content for event in events if isinstance(event, ToolFinished)]
    hints = PROFILES["small"].hints
    assert results[0].endswith(hints.after_reading)
    assert results[2].endswith(hints.after_change)


async def test_token_and_turn_limits_are_normal_endings(solve) -> None:
    looks = [call("bash", command=f"echo {number}") for number in range(9)]
    outcome, _ = await solve(*looks, limits=Limits(max_turns=4))
    assert (outcome.reason, outcome.steps, outcome.exit_code) == (Reason.MAX_TURNS, 4, 3)


async def test_a_script_that_is_exhausted_is_loud(solve) -> None:
    outcome, _ = await solve(call("bash", command="echo"))
    assert (outcome.reason, outcome.exit_code) == (Reason.ERROR, 4)
    assert "no more answers" in str(outcome.error)


async def test_an_edit_makes_it_worth_running_the_same_thing_again(solve) -> None:
    run = call("bash", command="true")
    edits = [edit("calc.py", "a - b", "a * b"), edit("calc.py", "a * b", "a + b")]
    outcome, _ = await solve(run, run, edits[0], run, run, edits[1], run, run, "Done.")
    assert outcome.reason is Reason.FINISHED


async def test_the_history_that_a_log_folds_to_is_what_was_sent(solve) -> None:
    outcome, _ = await solve(call("bash", command="echo hi"), "Done.")
    history = fold(read_log(outcome.session))
    assert [message.role for message in history] == ["user", "assistant", "tool", "assistant"]
    assert history[0] == User(text="fix it")


async def test_a_failed_change_of_a_small_model_is_forgotten(solve) -> None:
    wrong = call("str_replace", path="calc.py", old_str="a - b", new_str="a * b")
    right = call("str_replace", path="calc.py", old_str="a - b", new_str="a + b")
    task = "add in calc.py is wrong\n>>> add(1, 2)\nexpected: 3"
    outcome, events = await solve(wrong, right, FINISH, toolset="small", task=task)
    (taken_back, *_) = [event.result for event in events if isinstance(event, ToolFinished)]
    assert ">>> add(1, 2)\ngives 2, and should give 3" in taken_back.content
    history = fold(read_log(outcome.session))
    assert [message.role for message in history] == ["user", "assistant", "tool", "assistant", "tool"]
    assert [event.kept for event in events if isinstance(event, WentBack)] == [1]
    assert (outcome.reason, outcome.patch.count("+    return a + b")) == (Reason.FINISHED, 1)


async def test_a_small_model_whose_changes_help_nothing_hands_back(solve) -> None:
    def tried(code: str) -> str:
        return call("str_replace", path="calc.py", old_str="a - b", new_str=code)

    task = "add in calc.py is wrong\n>>> add(1, 2)\nexpected: 3\n>>> add(2, 2)\nexpected: 4"
    wrong = [tried(f"a - b * {number}") for number in range(3, 20)]
    helps = tried("3 if a == 1 else a - b")
    outcome, _ = await solve(*wrong[:7], helps, *wrong, toolset="small", task=task)
    assert (outcome.reason, outcome.exit_code) == (Reason.NO_PROGRESS, 3)
    assert outcome.steps == 7 + 1 + 8, "what helps makes further ones worth it"
    assert outcome.patch.count("3 if a == 1") == 1, "and stays"
