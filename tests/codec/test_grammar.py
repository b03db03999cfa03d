"""The grammar, run by a small reader of GBNF: what it lets through is read without recovery, and the other way."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from gbnf_reader import Rules
from hypothesis import given, settings
from hypothesis import strategies as st

from qcode.codec import grammar, parse, render
from qcode.messages import Assistant, ToolCall

TEXT, INTEGER = {"type": "string"}, {"type": "integer"}
TOOLS: list[dict[str, Any]] = [
    {
        "name": "edit",
        "parameters": {
            "properties": {"path": TEXT, "old": TEXT, "new": TEXT, "line": INTEGER},
            "required": ["path", "old", "new"],
        },
    },
    {
        "name": "kinds",
        "parameters": {
            "properties": {
                "i": INTEGER,
                "n": {"type": "number"},
                "b": {"type": "boolean"},
                "e": {"enum": ["one", 'two "2"', "drei\n3"]},
                "c": {"const": 5},
                "a": {"type": "array", "items": TEXT},
                "o": {"type": "object"},
                "z": {"anyOf": [INTEGER, {"type": "null"}], "default": None},
                "u": {"anyOf": [TEXT, {"type": "null"}]},
                "x": {},
            },
            "required": ["i", "e"],
        },
    },
    {"name": "nothing", "parameters": {"properties": {}}},
    {
        "name": "editor",
        "parameters": {
            "properties": {
                "command": {"type": "string", "enum": ["view", "create", "insert"]},
                "path": TEXT,
                "text": {"anyOf": [TEXT, {"type": "null"}]},
                "line": {"anyOf": [INTEGER, {"type": "null"}]},
                "range": {"anyOf": [{"type": "array"}, {"type": "null"}]},
            },
            "required": ["command", "path"],
            "oneOf": [
                {"properties": {"command": {"const": "view"}}, "required": ["command", "path"]},
                {"properties": {"command": {"enum": ["create"]}}, "required": ["command", "path", "text"]},
                {"properties": {"command": {"const": "insert"}}, "required": ["command", "path", "line", "text"]},
            ],
        },
    },
]


LAZY = grammar(TOOLS, required=False)
REQUIRED = grammar(TOOLS, required=True, reason_limit=60)


@pytest.fixture(scope="module", params=[LAZY, REQUIRED], ids=["lazy", "required"])
def rules(request: pytest.FixtureRequest) -> Rules:
    return Rules(request.param.text)


def needed(name: str, arguments: dict[str, Any]) -> list[str]:
    (schema,) = (tool["parameters"] for tool in TOOLS if tool["name"] == name)
    branches = {"create": ["text"], "insert": ["line", "text"]}
    return [*schema.get("required", ()), *branches.get(arguments.get("command", ""), ())]


@pytest.mark.parametrize("seed", range(150))
def test_what_it_lets_through_is_read_without_recovery(rules: Rules, seed: int) -> None:
    chance = random.Random(seed)
    text = rules.sample(chance, chance.choice((20, 100, 400)))
    parsed = parse(text, TOOLS)
    assert parsed.tool_calls, text
    wrapped = "<tool_call>" in text.partition("<function=")[0] and text.rstrip().endswith("</tool_call>")
    assert (len(parsed.recoveries), parsed.problems, parsed.truncated) == (int(not wrapped), (), False), text
    for call in parsed.tool_calls:
        assert set(needed(call.name, call.arguments)) <= set(call.arguments), text
        if call.name == "kinds":
            assert type(call.arguments["i"]) is int
            assert call.arguments["e"] in ("one", 'two "2"', "drei\n3")
            assert type(call.arguments.get("b", True)) is bool
            assert type(call.arguments.get("a", [])) is list
            assert type(call.arguments.get("o", {})) is dict
            assert type(call.arguments.get("n", 1.0)) in (int, float)
            assert type(call.arguments.get("z")) in (int, type(None))
            assert call.arguments.get("c", 5) == 5


VALUES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(list("\n\t <>/&")), max_size=40
).filter(lambda text: not re.search("</?(function|parameter|tool_call)", text))
ARGUMENTS: dict[str, Callable[[], st.SearchStrategy[dict[str, Any]]]] = {
    "edit": lambda: st.fixed_dictionaries(
        {"path": VALUES, "old": VALUES, "new": VALUES}, optional={"line": st.integers(-999, 999)}
    ),
    "kinds": lambda: st.fixed_dictionaries(
        {"i": st.integers(-(10**17), 10**17), "e": st.sampled_from(["one", 'two "2"', "drei\n3"])},
        optional={
            "n": st.floats(-1e9, 1e9, width=32),
            "a": st.lists(VALUES | st.integers(0, 9), max_size=3),
            "o": st.dictionaries(VALUES, st.booleans() | st.none(), max_size=3),
            "x": VALUES,
        },
    ),
    "nothing": lambda: st.just({}),
    "editor": lambda: st.fixed_dictionaries(
        {"command": st.just("insert"), "path": VALUES, "text": VALUES, "line": st.integers(0, 99)}
    ),
}


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", ARGUMENTS)
def test_it_lets_through_what_the_template_writes(rules: Rules, name: str, data: st.DataObject) -> None:
    made = data.draw(ARGUMENTS[name]())
    order = next(tool["parameters"]["properties"] for tool in TOOLS if tool["name"] == name)
    arguments = {key: made[key] for key in order if key in made}
    call = Assistant(tool_calls=(ToolCall(id="1", name=name, arguments=arguments),))
    text = render("", (call,), (), generation_prompt=False).removeprefix("<|im_start|>assistant\n")
    assert rules.accepts(text.removesuffix("<|im_end|>\n")), text


FIRST = "<tool_call>\n<function=edit>\n<parameter=path>\na\n</parameter>\n"
OLD, NEW = "<parameter=old>\nb\n</parameter>\n", "<parameter=new>\nc\n</parameter>\n"
END = "</function>\n</tool_call>"

REFUSED = {
    "unknown tool": "<tool_call>\n<function=who>\n" + END,
    "a required parameter left out": FIRST + OLD + END,
    "another order": "<tool_call>\n<function=edit>\n" + OLD + FIRST.partition("edit>\n")[2] + NEW + END,
    "twice the same": FIRST + OLD + OLD + NEW + END,
    "an undeclared parameter": FIRST + OLD + NEW + "<parameter=who>\nx\n</parameter>\n" + END,
    "no integer": FIRST + OLD + NEW + "<parameter=line>\n5px\n</parameter>\n" + END,
    "an unclosed value": FIRST + "<parameter=old>\nb\n<parameter=new>\nc\n</parameter>\n" + END,
    "a value closed by the function's tag": FIRST + OLD + "<parameter=new>\nc\n" + END,
    "another branch's parameter": (
        "<tool_call>\n<function=editor>\n<parameter=command>\nview\n</parameter>\n<parameter=path>\na\n</parameter>\n"
        "<parameter=text>\nx\n</parameter>\n" + END
    ),
    "a branch's parameter left out": (
        "<tool_call>\n<function=editor>\n<parameter=command>\ncreate\n</parameter>\n<parameter=path>\na\n</parameter>\n"
        + END
    ),
    "text behind": FIRST + OLD + NEW + END + "\nDone.",
    "a fence behind": FIRST + OLD + NEW + END + "\n```",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_it_refuses(rules: Rules, text: str) -> None:
    assert not rules.accepts(text)


KEPT = [
    "", "\n", "    x = 1\n", "</div>\n<p>", "a < b", "if a</b: </param x", " <parameters>", "</parameter",
    "f('</parameter>')", "<tool>", "\n\n</footer>", "`</function>`", "é名\U0001f600\r\n",
]  # fmt: skip


@pytest.mark.parametrize("value", KEPT)
def test_a_value_may_be(rules: Rules, value: str) -> None:
    assert rules.accepts(FIRST + f"<parameter=old>\n{value}\n</parameter>\n" + NEW + END)


OPTIONAL_RANGE = (
    "<tool_call>\n<function=editor>\n<parameter=command>\nview\n</parameter>\n<parameter=path>\na\n</parameter>\n"
    "<parameter=range>\n[1, 2]\n</parameter>\n" + END
)


def test_a_parameter_that_no_branch_requires_may_be_given_in_each(rules: Rules) -> None:
    assert rules.accepts(OPTIONAL_RANGE)


def test_lazy_begins_at_either_tag_and_lets_several_calls_follow() -> None:
    rules = Rules(LAZY.text)
    call = FIRST + OLD + NEW + END
    assert rules.accepts(call)
    assert rules.accepts(call.removeprefix("<tool_call>\n"))
    assert rules.accepts(call.removeprefix("<tool_call>\n").removesuffix("</tool_call>"))
    assert rules.accepts(f"{call}\n{call}\n{call}")
    assert LAZY.lazy
    assert any(trigger.value == "<tool_call>" for trigger in LAZY.triggers)
    pattern = next(trigger.value for trigger in LAZY.triggers if trigger.value != "<tool_call>")
    # It ends where the grammar must take over: a token can hold "=" and the beginning of a name.
    for text in ("Text.\n<function", "Text.\n  <function=", "<function"):
        assert re.search(pattern, text)
    for text in ("The tag `<function", "<functions", "<function=edit"):
        assert not re.search(pattern, text)


def test_required_is_a_short_reason_and_one_call() -> None:
    rules = Rules(REQUIRED.text)
    call = FIRST + OLD + NEW + END
    assert not REQUIRED.lazy
    assert rules.accepts(call)
    assert rules.accepts(f"Line 3 must be `a < 5`, ~ as the test says.\n\n{call}")
    assert rules.accepts(f"no line break {call}")
    for reason in (
        "x" * 100 + "\n",
        "```\n",
        "a <tool_call>\n",
        "<function=edit>\n",
        "~~~\n",
        "<0> ",
        "<b>\n",
    ):
        assert not rules.accepts(reason + call), reason
    assert not rules.accepts(f"{call}\n{call}")
    assert not rules.accepts("Only text.\n")


def test_it_needs_a_tool() -> None:
    with pytest.raises(ValueError, match="tool"):
        grammar([], required=True)


def test_code_may_be_fenced_and_what_begins_a_line_like_a_tag_is_its_closing_tag() -> None:
    tool = {"name": "t", "parameters": {"properties": {"new_code": {"type": "string"}, "text": {"type": "string"}}}}
    rules = Rules(grammar([tool], required=True).text)
    head, tail = "<function=t>\n<parameter=new_code>\n", "\n</parameter>\n</function>\n</tool_call>"
    for code in (
        "a",
        "a = '```'\n```",
        "a < b\n  <c>\n",
        "<?php",
        "```python\na\n\nb = `c`\n```",
        "```c++\na\n\n``b``",
        "```python\n\na",
        "``Python\na\n``",
        "``python\na",
    ):
        assert rules.accepts(f"{head}{code}{tail}"), code
    for code in (
        "a\n</new_code>",
        "a\n<tool_call>",
        "a\n```\nb",
        "```python\na\n```\nThat was it.",
        "```python\na\n```python\nb\n```",
        "```\na\n```",
        "``str.replace(a)",
        "```python a\n",
        "``python\na\n``</function>",
        "<parameter=text>\nb",
    ):
        assert not rules.accepts(f"{head}{code}{tail}"), code
    assert rules.accepts(f"<function=t>\n<parameter=text>\n<a>\n</text>{tail}")
