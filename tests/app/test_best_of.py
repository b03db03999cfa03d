"""Several attempts at one task: which is chosen, and why."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from calls import call, committed

from qcode.app.attempts import AttemptChosen, AttemptEnded, AttemptEvent, AttemptJudged
from qcode.app.best_of import BestOf, best_of
from qcode.app.options import RunOptions
from qcode.app.patchtext import new_tests, normalised, size
from qcode.app.wiring import wire
from qcode.backends.scripted import ScriptedBackend
from qcode.events import Reason

CALC = "def add(a, b):\n    return a - b\n\n\ndef twice(a):\n    return 2 * a\n"
OWN_TESTS = "from calc import twice\n\n\ndef test_twice():\n    assert twice(3) == 6\n"
RIGHT = "sed -i 's/a - b/a + b/' calc.py"
ALSO_RIGHT = "sed -i 's/a - b$/a + b  /' calc.py"
LONG = "sed -i 's/    return a - b/    total = a\\n    total += b\\n    return total/' calc.py"
WRONG = "sed -i 's/a - b/b - a/' calc.py"
BREAKS = "sed -i 's/a - b/a + b/; s/2 \\* a/3 * a/' calc.py"
TEST = "printf 'from calc import add\\n\\n\\ndef test_add():\\n    assert add(2, 3) == 5\\n' > test_add.py"
BAD_TEST = "printf 'def test_nothing():\\n    assert False\\n' > test_bad.py"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return committed(tmp_path / "repo", {"calc.py": CALC, "test_calc.py": OWN_TESTS})


def script(path: Path, command: str) -> Path:
    answers = [{"text": call("bash", command=command)}] if command else []
    answers.append({"text": "Done."})
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    return path


async def run(
    repo: Path, commands: Sequence[str], *, verify: str | None = None, task: str = "add() subtracts"
) -> tuple[BestOf, list[AttemptEvent]]:
    """One attempt for each command, each with a model of its own."""
    scripts = [script(repo.parent / f"{number}.jsonl", command) for number, command in enumerate(commands)]
    options = RunOptions(repo=repo, model=f"scripted:{scripts[0]}", sandbox="none")
    solves = [replace(wire(task, options), backend=ScriptedBackend(path)) for path in scripts]
    work = BestOf(solves, verify)
    async with aclosing(work.events()) as events:
        return work, [event async for event in events]


async def test_the_given_command_decides_first(repo: Path) -> None:
    work, events = await run(repo, [WRONG, RIGHT, WRONG], verify="python3 -c 'import calc; assert calc.add(2, 3) == 5'")
    assert work.choice == AttemptChosen(
        attempt=1, why="it passes the given command", of=3, agreeing=(1,), verified=True
    )
    assert work.outcome is not None
    assert "+    return a + b" in work.outcome.patch
    assert work.outcome.exit_code == 0
    assert sorted(event.attempt for event in events if isinstance(event, AttemptEnded)) == [0, 1, 2]
    judged = {event.agreeing: event.verified for event in events if isinstance(event, AttemptJudged)}
    assert judged == {(0, 2): False, (1,): True}, "the same change is judged once"


async def test_a_change_that_fails_the_command_is_no_success(repo: Path) -> None:
    work, _ = await run(repo, [WRONG], verify="false")
    assert work.outcome is not None
    assert work.outcome.exit_code == 1
    assert "does not pass the given command: false" in str(work.outcome.error)
    assert "b - a" in work.outcome.patch, "it is delivered all the same"


async def test_tests_that_passed_before_must_still_pass(repo: Path) -> None:
    work, events = await run(repo, [BREAKS, BREAKS, RIGHT])
    assert work.choice is not None
    assert (work.choice.attempt, work.choice.why) == (2, "it breaks fewer of the repository's tests")
    assert {event.agreeing: event.broken for event in events if isinstance(event, AttemptJudged)} == {
        (0, 1): 1, (2,): 0,
    }  # fmt: skip


async def test_a_test_that_one_attempt_wrote_judges_the_others(repo: Path) -> None:
    """Two agree on what is wrong; the third wrote a test, which it passes, and so does the fourth."""
    work, events = await run(repo, [WRONG, WRONG, f"{RIGHT}; {TEST}", LONG, f"{WRONG}; {BAD_TEST}"])
    assert work.choice is not None
    judged = {event.agreeing: event.reproduced for event in events if isinstance(event, AttemptJudged)}
    assert judged == {(0, 1, 4): (0, 1), (2,): (0, 0), (3,): (1, 1)}, "a test that its author fails counts for nothing"
    assert work.choice.attempt == 3


async def test_who_shows_the_problem_is_preferred_to_who_fails_that_test(repo: Path) -> None:
    work, _ = await run(repo, [WRONG, f"{RIGHT}; {TEST}"])
    assert work.choice is not None
    assert (work.choice.attempt, work.choice.why) == (1, "it passes more of the other attempts' tests")


async def test_agreement_decides_where_tests_do_not_and_then_the_smaller_change(repo: Path) -> None:
    work, _ = await run(repo, [WRONG, RIGHT, ALSO_RIGHT])
    assert work.choice is not None
    assert (work.choice.agreeing, work.choice.why) == ((1, 2), "more attempts came to it")
    work, _ = await run(repo, [LONG, RIGHT])
    assert work.choice is not None
    assert (work.choice.attempt, work.choice.why) == (1, "it is the smaller change")


EXAMPLE = "`add` in calc.py is wrong\n\n>>> add(2, 2)\n\nexpected: `4`\n"


async def test_the_examples_of_the_task_judge_every_change(repo: Path) -> None:
    """Two agree on what gives 0 for the example; one promises in the file's docstring what it gives; one ends the
    process that tries it."""
    promise = r"""sed -i 's/    return a - b/    ">>> add(2, 2)\\n    0\\n"\n    return b - a/' calc.py"""
    ends = "sed -i '1i print(1, flush=True); import os; os._exit(0)' calc.py"
    work, events = await run(repo, [WRONG, WRONG, promise, ends, RIGHT], task=EXAMPLE)
    assert work.choice is not None
    assert (work.choice.attempt, work.choice.why) == (4, "more examples of the task come out right")
    judged = {event.agreeing: event.examples for event in events if isinstance(event, AttemptJudged)}
    assert judged == {(0, 1): (0, 1), (2,): (0, 1), (3,): (0, 1), (4,): (1, 1)}


async def test_attempts_that_answer_alike_have_more_votes_than_those_that_are_written_alike(repo: Path) -> None:
    """2 * 2 is 2 + 2, but 2 * 3 is not 2 + 3, and three say so in words of their own."""
    product, sum_of_both = (RIGHT.replace("a + b", new) for new in ("a * b", "sum((a, b))"))
    work, events = await run(repo, [product, product, LONG, RIGHT, sum_of_both], task=EXAMPLE)
    assert work.choice is not None
    assert work.choice.attempt == 3, "the smallest of these three"
    alike = {event.agreeing: event.alike for event in events if isinstance(event, AttemptJudged)}
    assert alike[(2,)] == alike[(3,)] == alike[(4,)] > 2.5
    assert alike[(0, 1)] < 2.5
    work, _ = await run(repo, [product, product, LONG, RIGHT], task=EXAMPLE)
    assert work.choice is not None
    assert (work.choice.attempt, work.choice.why) == (0, "more attempts came to it"), "two and two say as much"


def edits(path: Path, new: str, *, delay_s: float = 0.0) -> Path:
    """A model that changes one line, later, and ends."""
    change = call("str_replace", path="calc.py", old_str="    return a - b", new_str=f"    return {new}")
    answers = [{"text": change, "delay_s": delay_s}, {"text": call("finish", summary="done")}]
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    return path


async def attempts_of(repo: Path, *scripts: Path, verify: str | None = None) -> tuple[BestOf, list[AttemptEnded]]:
    options = RunOptions(repo=repo, model=f"scripted:{scripts[0]}", sandbox="none", tools="small")
    work = BestOf([replace(wire(EXAMPLE, options), backend=ScriptedBackend(path)) for path in scripts], verify)
    async with aclosing(work.events()) as events:
        return work, [event async for event in events if isinstance(event, AttemptEnded)]


async def test_attempts_are_stopped_when_more_than_half_have_solved_the_examples(repo: Path) -> None:
    folder = repo.parent
    good = [edits(folder / f"{number}.jsonl", new) for number, new in enumerate(["a + b", "b + a"])]
    work, ended = await attempts_of(repo, *good, edits(folder / "slow.jsonl", "sum((a, b))", delay_s=900))
    assert {event.attempt: event.reason for event in ended} == {
        0: Reason.FINISHED, 1: Reason.FINISHED, 2: Reason.INTERRUPTED,
    }  # fmt: skip
    assert "more than half" in str(next(event.error for event in ended if event.attempt == 2))
    assert work.choice is not None
    assert work.choice.attempt == 0
    assert work.outcome is not None
    assert work.outcome.exit_code == 0


async def test_attempts_are_not_stopped_for_half_of_them_nor_before_a_command_was_asked(repo: Path) -> None:
    folder = repo.parent
    good, bad = edits(folder / "good.jsonl", "a + b"), edits(folder / "bad.jsonl", "b - a")
    slow = edits(folder / "slow.jsonl", "b + a", delay_s=3)
    _, ended = await attempts_of(repo, good, bad, slow)
    assert Reason.INTERRUPTED not in [event.reason for event in ended]
    _, ended = await attempts_of(repo, good, good, slow, verify="python3 -c 'import calc; assert calc.add(2, 3) == 5'")
    assert Reason.INTERRUPTED not in [event.reason for event in ended]


async def test_no_change_loses_against_any(repo: Path) -> None:
    work, _ = await run(repo, ["", "", WRONG])
    assert work.choice is not None
    assert (work.choice.attempt, work.choice.why) == (2, "the other changes nothing")
    work, _ = await run(repo, ["", ""])
    assert work.outcome is not None
    assert work.outcome.patch == ""


async def test_what_all_attempts_spent_is_told(repo: Path) -> None:
    work, _ = await run(repo, [RIGHT, RIGHT, ""])
    assert work.outcome is not None
    assert work.outcome.usage.requests == 5


def test_seeds_differ_where_sampling_is_repeatable(repo: Path) -> None:
    options = RunOptions(repo=repo, model=f"scripted:{script(repo.parent / 'a.jsonl', RIGHT)}", sandbox="none", seed=7)
    work = best_of(wire("x", options), 3, verify=None)
    assert [attempt.sampling.seed for attempt in work.attempts] == [7, 8, 9]


def test_patches_are_alike_whatever_stands_around(repo: Path) -> None:
    def patch(text: str, *, context: int = 3) -> str:
        (repo / "calc.py").write_text(text, encoding="utf-8")
        return subprocess.run(
            ["git", "diff", f"-U{context}", "--no-color"], cwd=repo, capture_output=True, text=True, check=True
        ).stdout

    plain = patch(CALC.replace("a - b", "a + b"))
    assert normalised(plain) == normalised(patch(CALC.replace("a - b", "a + b"), context=0))
    assert normalised(plain) == normalised(patch(CALC.replace("a - b\n", "a + b  \n\n")))
    assert normalised(plain) != normalised(patch(CALC.replace("a - b", "b + a")))
    new = "diff --git a/test_x.py b/test_x.py\nnew file mode 100644\n--- /dev/null\n+++ b/test_x.py\n"
    new += "@@ -0,0 +1 @@\n+x = 1\n"
    assert normalised(plain + new) == normalised(plain)
    assert (size(plain + new), new_tests(plain + new)) == (2, {"test_x.py": "x = 1\n"})
