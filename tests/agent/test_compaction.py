"""A full window: what gives way, what stays, and that the prompt only grows at its end otherwise."""

import json
from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path

import pytest
from calls import call

from qcode.agent.limits import Limits
from qcode.agent.loop import Agent
from qcode.agent.profile import PROFILES
from qcode.agent.shorter import summarised
from qcode.backends.scripted import ScriptedBackend
from qcode.codec import render
from qcode.events import Compacted, CompactionCause, CompactionUndone, Event, Notice, Reason, TurnFinished
from qcode.messages import Assistant, Tool, ToolCall, User
from qcode.model import Delta, Request, Sampling
from qcode.session.fold import fold
from qcode_sandbox import HostSpec, Sandbox, Source, open_sandbox
from qcode_tools.toolsets import build_toolset

SUMMARY = "SUMMARY: f() was looked at; g() is still to do."


class Recording(ScriptedBackend):
    """The scripted model, and what it was asked."""

    def __init__(self, path: Path, *, window: int | None) -> None:
        super().__init__(path, window=window)
        self.asked: list[Request] = []

    def stream(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        self.asked.append(request)
        return super().stream(request)


class Session:
    """An agent over a folder, with a log of what it emits."""

    def __init__(self, backend: Recording, sandbox: Sandbox, share: float | None) -> None:
        async def place() -> Sandbox:
            return sandbox

        self.backend = backend
        self.log: list[Event] = []
        self.agent = Agent(
            backend=backend, toolset=build_toolset("swe"), sandbox=place, profile=PROFILES["swe"],
            limits=Limits(max_turns=None), sampling=Sampling(), compact_at=share,
        )  # fmt: skip

    async def turn(self, text: str) -> TurnFinished:
        return await self.agent.turn(text, self.log.append)

    @property
    def compacted(self) -> list[Compacted]:
        return [event for event in self.log if isinstance(event, Compacted)]

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.log if isinstance(event, Notice)]

    def prompts(self) -> list[str]:
        return [render(each.system, each.history, each.tools) for each in self.backend.asked]


@pytest.fixture
async def begin(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Makes a session: its script, its window in tokens, and the share at which it is shortened."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(60):
        (tree / f"f{number}.py").write_text(
            f"# file {number}\n" + "x = 1  # some line of code\n" * 90, encoding="utf-8"
        )
    names = tuple(path.name for path in tree.iterdir())
    async with open_sandbox(HostSpec(source=Source(root=tree, files=names))) as sandbox:

        def make(*answers: str | dict[str, object], window: int | None = 12_000, share: float | None = 0.8) -> Session:
            script = tmp_path / "script.jsonl"
            lines = [json.dumps({"text": a} if isinstance(a, str) else a) for a in answers]
            script.write_text("\n".join(lines), encoding="utf-8")
            return Session(Recording(script, window=window), sandbox, share)

        yield make


def view(number: int) -> str:
    return f"I look at f{number}. " + call("str_replace_editor", command="view", path=f"f{number}.py")


async def test_old_results_give_way_first_and_say_how_to_see_them_again(begin) -> None:
    session = begin(*[view(number) for number in range(14)], "Done.")
    ended = await session.turn("Read everything; the word is JELLYFISH.")
    assert ended.reason is Reason.FINISHED
    first = session.compacted[0]
    assert (first.cause, first.how) == (CompactionCause.SHARE, "results")
    assert first.after < first.before * 0.7
    assert first.before < 12_000
    assert isinstance(first.history[0], User)
    assert "JELLYFISH" in first.history[0].text
    results = [m.result.content for m in first.history if isinstance(m, Tool)]
    assert results[0].startswith("[left out to make room: ")
    assert '"path": "f0.py"' in results[0]
    assert "some line of code" in results[-1]
    assert "\n" not in results[0]
    assert tuple(session.agent.history) == fold(session.log)


async def test_the_prompt_only_grows_at_its_end_but_when_it_is_shortened(begin) -> None:
    answers: list[str] = []
    for turn in range(6):
        answers += [view(10 * turn + number) for number in range(9)] + ["Turn done."]
    session = begin(*[{"text": text, "repeat": 1} for text in answers], window=24_000)
    for turn in range(6):
        await session.turn(f"Turn {turn}")
    prompts, shortened = session.prompts(), 0
    assert len(prompts) == 60
    for before, after in pairwise(prompts):
        grown = after.startswith(before.removesuffix("<|im_start|>assistant\n"))
        shortened += not grown
    assert shortened == len(session.compacted) > 0
    assert all(event.how == "results" for event in session.compacted)
    assert max(len(prompt) // 4 for prompt in prompts) < 24_000


async def test_a_summary_keeps_task_plan_files_words_and_last_steps(begin) -> None:
    change = call("str_replace_editor", command="insert", path="f1.py", insert_line=1, new_str="y = 2")
    session = begin(
        view(0), "I have looked.", change, "Changed.", view(2), "Seen.", SUMMARY, window=None,
    )  # fmt: skip
    await session.turn("The task: JELLYFISH.")
    await session.turn("Also mind the OCTOPUS.")
    await session.turn("And go on.")
    before = tuple(session.agent.history)
    done = await session.agent.compact(session.log.append, CompactionCause.ASKED, focus="the octopus")
    assert done is not None
    assert (done.how, done.cause) == ("summary", CompactionCause.ASKED)
    assert done.after < done.before
    asked = session.backend.asked[-1]
    assert asked.history[:-1] == before, "the prompt goes on where it was, so that nothing is read again"
    assert "the octopus" in asked.history[-1].text  # type: ignore[union-attr]
    first = session.agent.history[0]
    assert isinstance(first, User)
    assert first.text.startswith("The task: JELLYFISH.")
    for words in (SUMMARY, "Files that were changed: f1.py", "Files that were looked at: f2.py, f0.py", "OCTOPUS"):
        assert words in first.text
    assert session.agent.history[-1].text == "Seen."  # type: ignore[union-attr]
    assert fold(session.log) == tuple(session.agent.history)
    session.log.append(CompactionUndone())
    assert fold(session.log) == before


async def test_what_is_asked_to_be_shortened_long_before_the_window_is_full_is(begin) -> None:
    session = begin(*[view(number) for number in range(4)], "Done.", "Well.", SUMMARY, window=100_000)
    await session.turn("Read four files.")
    await session.turn("And now?")
    done = await session.agent.compact(session.log.append, CompactionCause.ASKED)
    assert done is not None
    assert done.after < done.before / 2


def test_the_last_plan_stays() -> None:
    def planned(number: int) -> Assistant:
        return Assistant(
            tool_calls=(ToolCall(id=str(number), name="todo_write", arguments={"todos": [f"step {number}"]}),)
        )

    history = [User(text="Task"), planned(1), planned(2), Assistant(text="Last")]
    first = summarised(history, 3, "SUMMARY", changes=lambda call: False)[0]
    assert isinstance(first, User)
    assert 'The plan: {"todos": ["step 2"]}' in first.text
    assert "step 1" not in first.text


async def test_what_does_not_shrink_is_left_as_it_was_and_told_once(begin) -> None:
    long = "A long word of the model. " * 900
    session = begin(long, long, "Short.", window=12_000)
    await session.turn("First.")
    before = tuple(session.agent.history)
    await session.turn("word " * 6_000)
    assert session.compacted == []
    (said,) = session.notices
    assert said.startswith("the conversation was not shortened: of ")
    assert tuple(session.agent.history)[: len(before)] == before
    # The summary that was asked for in vain is not asked for again without new input.
    assert len(session.backend.asked) == 3


async def test_an_overflow_is_answered_by_one_shortening_and_one_more_try(begin) -> None:
    session = begin(*[view(n) for n in range(5)], {"error": "context_overflow"}, "Done.", window=None)
    ended = await session.turn("Read.")
    assert ended.reason is Reason.FINISHED
    (done,) = session.compacted
    assert (done.cause, done.how) == (CompactionCause.OVERFLOW, "results")
    again = begin(*[view(n) for n in range(5)], *[{"error": "context_overflow"}] * 2, window=None)
    assert (await again.turn("Read.")).reason is Reason.CONTEXT_FULL
    assert len(again.compacted) == 1


async def test_what_was_just_shortened_is_not_shortened_again(begin) -> None:
    session = begin(*[view(n) for n in range(5)], "Done.", SUMMARY, window=None)
    await session.turn("Read.")
    assert await session.agent.compact(session.log.append, CompactionCause.ASKED) is not None
    assert await session.agent.compact(session.log.append, CompactionCause.ASKED) is None
    assert session.notices == ["the conversation is as short as it can be: nothing has happened since"]


async def test_it_can_be_switched_off(begin) -> None:
    session = begin(*[view(n) for n in range(14)], "Done.", share=None)
    await session.turn("Read.")
    assert session.compacted == []
    assert session.notices == []


@pytest.mark.parametrize("summary", [{"text": ""}, {"error": "context_overflow", "text": "Half of"}])
async def test_where_no_summary_comes_the_middle_goes_without_one(begin, summary: dict[str, object]) -> None:
    much = [{"text": f"Answer {number}. " + "words of it " * 800, "chunk": 2_000} for number in range(4)]
    session = begin(*much, summary, "Done.")
    await session.turn("The task: JELLYFISH.")
    for number in range(1, 4):
        await session.turn(f"Condition {number}.")
    ended = await session.turn("And now?")
    assert ended.reason is Reason.FINISHED
    (done,) = session.compacted
    assert (done.how, done.cause) == ("cut", CompactionCause.SHARE)
    assert done.after < 12_000 * 0.8 * 0.6 < done.before
    first = session.agent.history[0]
    assert isinstance(first, User)
    for words in ("The task: JELLYFISH.", "Condition 2.", "is gone but for this", "The last steps follow"):
        assert words in first.text
    assert "Answer 0" not in first.text
    assert tuple(session.agent.history) == fold(session.log)
