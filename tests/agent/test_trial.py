from pathlib import Path

import pytest

from qcode.agent.attempts import Attempts
from qcode.agent.examples import Example, examples_in_file, examples_in_task, merged
from qcode.agent.trial import Trial
from qcode.messages import ToolCall
from qcode.model import Sampling
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.specs import HostSpec, Source
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, ToolContext
from qcode_tools.toolsets import build_toolset

TASK = """`area` in pkg/geo.py is wrong.

```python
>>> area(2, 3)
```

expected: `6`

actual: `5`
"""
CODE = "from .shape import sides\n\n\ndef area(a, b):\n    print('noise')\n    a, b = sides(a, b)\n    return a + b\n"
TREE = {"pkg/__init__.py": "", "pkg/shape.py": "def sides(*given):\n    return given\n", "pkg/geo.py": CODE}


@pytest.mark.parametrize(
    ("text", "examples"),
    [
        (TASK, [Example("area(2, 3)", "6")]),
        ("no prompt here, expected: `6`", []),
        (">>> f(1)\n2\n", [Example("f(1)", None)]),
        (
            ">>> f(\n...     1)\nExpected output: [1, 2]\n>>> g()",
            [Example("f(\n    1)", "[1, 2]"), Example("g()", None)],
        ),
        ("  >>> f('a')\n  It should be something else", [Example("f('a')", None)]),
    ],
)
def test_examples_that_a_task_states(text: str, examples: list[Example]) -> None:
    assert examples_in_task(text) == examples


def test_a_docstring_promises_what_stands_below_the_prompt() -> None:
    text = (
        'def f():\n    """Double.\n\n    >>> f(2)\n    4\n    >>> x = 1\n    >>> f()\n'
        '    Traceback (most recent call last):\n    TypeError: no\n    """\n'
    )
    assert examples_in_file(text) == [Example("f(2)", "4"), Example("x = 1", None)]
    assert examples_in_file(">>> a\n  >>>b\n") == []
    closed = 'def f():\n    """\n    >>> f(2)\n    4\n    """\n\n\n"""\nExamples:\n    >>> g(1)\n    5\n"""\n'
    assert examples_in_file(closed) == [Example("f(2)", "4"), Example("g(1)", "5")], "quotes are no part of a value"
    assert examples_in_file('def f(:\n    """>>> f(2)\n    4"""\n') == []


def test_of_examples_that_are_alike_the_one_that_says_more_counts() -> None:
    said = [
        Example("f(1)", None),
        Example("f({", "1})"),
        Example("f(1)", "2"),
        Example("f(1)", "3"),
        Example("g()", None),
    ]
    assert merged(said) == (Example("f(1)", "2"), Example("g()", None))


async def opened(sandbox: Sandbox, old: str, new: str, trial: Trial, name: str = "pkg/geo.py") -> ToolResult:
    arguments = {"path": name, "old_str": old, "new_str": new}
    toolset = build_toolset("small")
    call = ToolCall(id="1", name="str_replace", arguments=arguments)

    async def run() -> ToolResult:
        return await toolset.run("1", call.name, arguments, ToolContext(sandbox, lambda text: None))

    return await trial.around(call, Effect.WRITE, run, sandbox)


def source(root: Path) -> Source:
    for name, text in TREE.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return Source(root, tuple(TREE))


async def test_a_change_that_helps_nothing_is_taken_back_and_one_that_solves_it_stays(tmp_path: Path) -> None:
    async with open_sandbox(HostSpec(source=source(tmp_path))) as sandbox:
        trial = Trial()
        await trial.prepare(TASK, ["pkg/geo.py", "pkg/gone.py"], sandbox)
        worse = await opened(sandbox, "return a + b", "return a - b", trial)
        assert worse.status is Status.ERROR
        assert worse.content.endswith("geo.py is as it was. With it:\n>>> area(2, 3)\ngives -1, and should give 6")
        assert await sandbox.read("pkg/geo.py") == CODE.encode()
        endless = await opened(sandbox, "return a + b", "while True: pass", trial)
        assert "gives ran for more than 3 s" in endless.content
        solved = await opened(sandbox, "return a + b", "return a * b", trial)
        assert solved.status is Status.OK and trial.solved
        assert solved.content.endswith("come out right now. Call finish.")
        assert b"return a * b" in await sandbox.read("pkg/geo.py")


async def test_what_the_tried_code_says_is_data(tmp_path: Path) -> None:
    nested = 'import os; os.write(3, b"[" * 200_000); os._exit(0)'
    async with open_sandbox(HostSpec(source=source(tmp_path))) as sandbox:
        trial = Trial()
        await trial.prepare(TASK, ["pkg/geo.py"], sandbox)
        coloured = await opened(sandbox, "return a + b", "return '\\x1b[31m\\u202e' + chr(27) * 0", trial)
        assert coloured.status is Status.ERROR
        assert not {"\x1b", "\u202e"} & set(coloured.content)
        raised = await opened(sandbox, "return a + b", "raise ValueError(chr(27) + ']52;c;x')", trial)
        assert "\x1b" not in raised.content and "should give 6" in raised.content
        broken = await opened(sandbox, "return a + b", nested, trial)
        assert broken.status is Status.OK and "should give" not in broken.content


@pytest.mark.parametrize("task", ["area in pkg/geo.py is wrong", TASK.replace("`6`", "`5`"), ">>> area(2, 3)\n5\n"])
async def test_without_an_example_that_fails_changes_stay_as_they_are(tmp_path: Path, task: str) -> None:
    async with open_sandbox(HostSpec(source=source(tmp_path))) as sandbox:
        trial = Trial()
        await trial.prepare(task, ["pkg/geo.py"], sandbox)
        result = await opened(sandbox, "return a + b", "return a - b", trial)
        assert result.status is Status.OK and "example" not in result.content
        assert b"return a - b" in await sandbox.read("pkg/geo.py")


def test_each_failed_attempt_makes_the_next_one_bolder_up_to_a_limit() -> None:
    attempts, sampling = Attempts(), Sampling(temperature=0.7)
    failed = ToolResult(call_id="1", name="rewrite", status=Status.ERROR, content="")
    seen = [attempts.bolder(sampling).temperature]
    for _ in range(4):
        attempts.note(Effect.WRITE, failed, 3)
        assert attempts.over() and not attempts.over()
        seen.append(attempts.bolder(sampling).temperature)
    assert seen == [0.7, 0.85, 1.0, 1.15, 1.2]
    attempts.note(Effect.WRITE, failed.model_copy(update={"status": Status.OK}), 3)
    assert (attempts.kept, attempts.bolder(sampling)) == (3, sampling)
    assert attempts.bolder(Sampling()) == Sampling()
