"""The dialect of Qwen2.5 and Qwen3: calls as JSON, with thinking before them."""

import json
import random

import pytest
from gbnf_reader import Rules
from hypothesis import given, settings
from hypothesis import strategies as st

from qcode.codec import (
    ArgumentFinished,
    ArgumentText,
    CallFinished,
    CallStarted,
    Dialect,
    ProblemKind,
    Recovery,
    StreamParser,
    Text,
    ThinkingMode,
    ThinkingText,
    grammar,
    parse,
    render,
)
from qcode.messages import Assistant, ToolCall

TEXT, INTEGER = {"type": "string"}, {"type": "integer"}
TOOLS = [
    {"name": "bash", "parameters": {"properties": {"command": TEXT, "timeout": INTEGER}, "required": ["command"]}},
    {"name": "write", "parameters": {"properties": {"path": TEXT, "content": TEXT}, "required": ["path", "content"]}},
    {"name": "kinds", "parameters": {"properties": {
        "e": {"enum": ["one", 'two "2"', "5"]}, "a": {"type": "array"}, "o": {"type": ["object", "null"]},
        "b": {"type": "boolean"}, "n": {"type": "number"}, "x": {},
    }}},
    {"name": "nothing"},
]  # fmt: skip

LS = '{"name": "bash", "arguments": {"command": "ls"}}'
CALL = f"<tool_call>\n{LS}\n</tool_call>"
ONE = [("bash", {"command": "ls"})]

CASES = {
    # text, calls, content, recoveries
    "exact": (CALL, ONE, "", []),
    "after prose": (f"I look.\n\n{CALL}", ONE, "I look.\n\n", []),
    "two": (f"{CALL}\n{CALL}", ONE * 2, "", []),
    "on one line": (f"<tool_call>{LS}</tool_call>", ONE, "", []),
    "spread over lines": (
        '<tool_call>\n{\n  "name": "bash",\n  "arguments": {\n    "command": "ls",\n    "timeout": 5\n  }\n}\n'
        "</tool_call>",
        [("bash", {"command": "ls", "timeout": 5})],
        "",
        [],
    ),
    "arguments first": (
        '<tool_call>\n{"arguments": {"command": "ls"}, "name": "bash"}\n</tool_call>',
        ONE,
        "",
        [],
    ),
    "no arguments": ('<tool_call>\n{"name": "nothing", "arguments": {}}\n</tool_call>', [("nothing", {})], "", []),
    "unknown tool": ('<tool_call>\n{"name": "who", "arguments": {"a": 1}}\n</tool_call>', [("who", {"a": 1})], "", []),
    "tags in a value": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "</tool_call> <tool_call> <function=bash> }"}}\n'
        "</tool_call>",
        [("bash", {"command": "</tool_call> <tool_call> <function=bash> }"})],
        "",
        [],
    ),
    "escapes": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "a\\n\\t\\"\\\\ \\u00e9 \\ud83d\\ude00"}}\n'
        "</tool_call>",
        [("bash", {"command": 'a\n\t"\\ é 😀'})],
        "",
        [],
    ),
    "missing opener": (f"{LS}\n</tool_call>", ONE, "", [Recovery.MISSING_OPENER]),
    "missing wrapper": (f"So:\n{LS}", ONE, "So:\n", [Recovery.MISSING_OPENER]),
    "missing wrappers": (f"{LS}\n{LS}\n", ONE * 2, "", [Recovery.MISSING_OPENER] * 2),
    "missing closer": (f"<tool_call>\n{LS}", ONE, "", [Recovery.MISSING_CLOSER]),
    "missing closer, then another": (f"<tool_call>\n{LS}\n{CALL}", ONE * 2, "", [Recovery.MISSING_CLOSER]),
    "doubled opener": (f"<tool_call>\n{CALL}", ONE, "", [Recovery.DOUBLED_TAG]),
    "doubled closer": (f"{CALL}\n</tool_call>", ONE, "", [Recovery.STRAY_CLOSER]),
    "a list": (
        f"<tool_call>\n[{LS}, {LS}]\n</tool_call>",
        ONE * 2,
        "",
        [Recovery.STRAY_TEXT, Recovery.STRAY_TEXT],
    ),
    "two in a wrapper": (f"<tool_call>\n{LS}\n{LS}\n</tool_call>", ONE * 2, "", []),
    "a fence": (
        f"<tool_call>\n```json\n{LS}\n```\n</tool_call>", ONE, "", [Recovery.STRAY_TEXT, Recovery.STRAY_TEXT],
    ),
    "trailing commas": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls",},}\n</tool_call>',
        ONE,
        "",
        [Recovery.BROKEN_JSON],
    ),
    "single quotes": (
        "<tool_call>\n{'name': 'bash', 'arguments': {'command': 'ls', 'timeout': None}}\n</tool_call>",
        [("bash", {"command": "ls", "timeout": None})],
        "",
        [Recovery.BROKEN_JSON],
    ),
    "Python and JSON mixed": (
        "<tool_call>\n{'name': 'kinds', \"arguments\": {'b': True, 'x': null}}\n</tool_call>",
        [("kinds", {"b": True, "x": None})],
        "",
        [Recovery.BROKEN_JSON],
    ),
    "double-encoded arguments": (
        '<tool_call>\n{"name": "bash", "arguments": "{\\"command\\": \\"ls\\"}"}\n</tool_call>',
        ONE,
        "",
        [Recovery.ARGUMENTS_FORM],
    ),
    "missing brace": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}\n</tool_call>', ONE, "", [Recovery.BROKEN_JSON],
    ),
    "missing braces": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"\n</tool_call>', ONE, "", [Recovery.BROKEN_JSON],
    ),
    "a brace too many": (f"<tool_call>\n{LS}}}\n</tool_call>", ONE, "", [Recovery.STRAY_TEXT]),
    "a raw line break": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls\npwd"}}\n</tool_call>',
        [("bash", {"command": "ls\npwd"})],
        "",
        [Recovery.BROKEN_JSON],
    ),
    "quotes not escaped": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "echo "a b" > c"}}\n</tool_call>',
        [("bash", {"command": 'echo "a b" > c'})],
        "",
        [Recovery.BROKEN_JSON],
    ),
    "an escape that JSON does not know": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "grep \\d it\\\'s"}}\n</tool_call>',
        [("bash", {"command": "grep \\d it's"})],
        "",
        [Recovery.BROKEN_JSON],
    ),
    "arguments beside the name": (
        '<tool_call>\n{"name": "bash", "command": "ls"}\n</tool_call>', ONE, "", [Recovery.ARGUMENTS_FORM],
    ),
    "OpenAI's form": (
        f'<tool_call>\n{{"type": "function", "function": {LS}}}\n</tool_call>', ONE, "", [Recovery.ARGUMENTS_FORM],
    ),
    "the other dialect": (
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
        ONE,
        "",
        [Recovery.OTHER_DIALECT],
    ),
    "text for a number": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls", "timeout": "5"}}\n</tool_call>',
        [("bash", {"command": "ls", "timeout": 5})],
        "",
        [],
    ),
    "a number for text": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": 5}}\n</tool_call>',
        [("bash", {"command": "5"})],
        "",
        [],
    ),
    "in a fence outside": (f"```\n{CALL}\n```\nSo.", [], f"```\n{CALL}\n```\nSo.", []),
    "JSON in prose": (
        'Write\n{"name": "x"} or\n{"name": "bash"} so.', [], 'Write\n{"name": "x"} or\n{"name": "bash"} so.', [],
    ),
    "no call": ("No {x} call [1].\n", [], "No {x} call [1].\n", []),
}  # fmt: skip


def in_pieces(text, seed, **options):
    parser = StreamParser(TOOLS, dialect="hermes", **options)
    chance = random.Random(seed)
    events = []
    at = 0
    while at < len(text):
        size = 1 if seed == 0 else chance.choice((1, 2, 5, 20))
        events += parser.feed(text[at : at + size])
        at += size
    return parser, events + parser.finish()


def read(text, **options):
    whole = parse(text, TOOLS, dialect="hermes", **options)
    for seed in range(8):
        parser, _ = in_pieces(text, seed, **options)
        assert parser.result() == whole, f"cut with seed {seed}"
    return whole


@pytest.mark.parametrize(("text", "calls", "content", "recoveries"), CASES.values(), ids=CASES)
def test_read(text, calls, content, recoveries):
    parsed = read(text)
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == calls
    assert (parsed.content, list(parsed.recoveries), parsed.truncated) == (content, recoveries, False)


def test_a_call_that_is_cut_is_not_executed():
    text = f"Go.\n{CALL}\n" + '<tool_call>\n{"name": "bash", "arguments": {"command": "ls -la"}}'
    for length in range(text.rindex("<tool_call>") + len("<tool_call>"), len(text)):
        parsed = read(text[:length])
        assert [(call.name, call.arguments) for call in parsed.tool_calls] == ONE
        assert (parsed.truncated, parsed.content) == (True, "Go.\n"), text[:length]
        assert parsed.problems[0].kind is ProblemKind.TRUNCATED


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "bash", "arguments": {"command": ls}}\n</tool_call>',
        '<tool_call>\n{"name": "bash" "arguments": }\n</tool_call>',
        '<tool_call>\n{"command": "ls"}\n</tool_call>',
        "<tool_call>\nbash ls\n</tool_call>",
    ],
)
def test_what_cannot_be_read_stays_text_and_is_told_in_one_line(text):
    parsed = read(text)
    assert (parsed.tool_calls, parsed.content) == ((), text)
    (problem,) = parsed.problems
    assert problem.kind is ProblemKind.MISFORMED
    assert "write" in problem.text
    assert "\n" not in problem.text


@pytest.mark.parametrize("text", [f"```json\n{LS}\n```", f"So:\n```\n{LS}\n```\n", f"```xml\n{CALL}\n```"])
def test_a_call_in_a_fence_at_the_end_is_told(text):
    parsed = read(text)
    assert (parsed.tool_calls, parsed.content) == ((), text)
    assert [problem.kind for problem in parsed.problems] == [ProblemKind.FENCED]
    assert read(f"{text}\nSo it looks.").problems == ()


def test_a_broken_call_does_not_hide_the_next_one():
    parsed = read(f'<tool_call>\n{{"name": "bash", "arguments": {{"command": ls}}}}\n</tool_call>\n{CALL}')
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == ONE
    assert parsed.problems[0].kind is ProblemKind.MISFORMED


THOUGHTS = {
    # text, thinking, content, calls
    "closed": ("<think>\nHm.\n\nSo.\n</think>\n\nHi.", "Hm.\n\nSo.", "Hi.", []),
    "closed, then a call": (f"<think>\nHm.\n</think>\n\n{CALL}", "Hm.", "", ONE),
    "empty": ("<think>\n\n</think>\n\nHi.", "", "Hi.", []),
    "with a call that is only thought of": (f"<think>\n{CALL}\n</think>\n\nNo.", CALL, "No.", []),
    "not closed": ("<think>\nHm", "Hm", "", []),
    "not closed, with a call": (f"<think>\nHm.\n{CALL}", "Hm.", "", ONE),
    "twice": ("<think>\na\n</think>\n\nb\n<think>\nc\n</think>\nd", "a\n\nc", "b\n\nd", []),
    "the tag in code": ("The tag `<think>` opens it.", "", "The tag `<think>` opens it.", []),
}


@pytest.mark.parametrize(("text", "thinking", "content", "calls"), THOUGHTS.values(), ids=THOUGHTS)
def test_thinking_is_kept_apart(text, thinking, content, calls):
    parsed = read(text)
    assert (parsed.thinking, parsed.content) == (thinking, content)
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == calls


def test_thinking_that_the_prompt_began():
    parsed = read(f"Hm.\n</think>\n\n{CALL}", thinking=ThinkingMode.BEGUN)
    assert (parsed.thinking, parsed.content, len(parsed.tool_calls)) == ("Hm.", "", 1)
    assert read(f"Hm.\n{CALL}", thinking="begun").tool_calls == parsed.tool_calls


def test_thinking_is_kept_apart_in_the_other_dialect_where_it_is_asked_for():
    text = "<think>\nHm.\n</think>\n\nHi."
    assert parse(text, TOOLS).content == text
    parsed = parse(text, TOOLS, thinking=ThinkingMode.IN_TAGS)
    assert (parsed.thinking, parsed.content) == ("Hm.", "Hi.")


def test_thinking_and_text_are_shown_as_they_come():
    parser = StreamParser(TOOLS, dialect=Dialect.HERMES)
    assert parser.feed("<think>\nI") == [ThinkingText("I")]
    assert parser.feed(" look") == [ThinkingText(" look")]
    assert parser.feed("\n</think>\n\nGo") == [Text("Go")]


def test_each_argument_is_shown_as_it_comes():
    parser = StreamParser(TOOLS, dialect="hermes")
    assert parser.feed('<tool_call>\n{"name": "write", ') == [CallStarted(0, "write")]
    assert parser.feed('"arguments": {"path": "a') == [ArgumentText(0, "path", "a")]
    assert parser.feed('.py", "content": "x = \\') == [
        ArgumentText(0, "path", ".py"),
        ArgumentFinished(0, "path", "a.py"),
        ArgumentText(0, "content", "x = "),
    ]
    assert "".join(event.text for event in parser.feed('"1\\"\\n') if isinstance(event, ArgumentText)) == '"1"\n'
    events = parser.feed('"}}\n</tool_call>')
    assert events[0] == ArgumentFinished(0, "content", 'x = "1"\n')
    assert isinstance(events[1], CallFinished)


def test_an_argument_that_is_no_text_is_shown_as_it_is_written():
    _, events = in_pieces('<tool_call>\n{"name": "kinds", "arguments": {"a": [1, "}"], "n": 1.5}}\n</tool_call>', 0)
    shown: dict[str, str] = {}
    for event in events:
        if isinstance(event, ArgumentText):
            shown[event.argument] = shown.get(event.argument, "") + event.text
    assert shown == {"a": '[1, "}"]', "n": "1.5"}


CHARACTERS = st.characters(exclude_categories=["Cs"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(CHARACTERS, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    st.text(CHARACTERS, max_size=60).filter(lambda text: "<|" not in text),
    st.dictionaries(st.text(CHARACTERS, min_size=1, max_size=5), VALUES, max_size=3).filter(
        lambda arguments: "<|" not in json.dumps(arguments, ensure_ascii=False)
    ),
    st.integers(0, 5),
    st.text(CHARACTERS.filter(lambda c: c not in "<`~{"), max_size=20),
)
def test_what_is_rendered_is_read_back(text, more, seed, thought):
    calls = (
        ToolCall(id="1", name="write", arguments={"path": "a", "content": text}),
        ToolCall(id="2", name="nothing", arguments=more),
    )
    prompt = render("", (Assistant(thinking=thought, tool_calls=calls),), (), generation_prompt=False, dialect="hermes")
    answer = prompt.removeprefix("<|im_start|>assistant\n").removesuffix("<|im_end|>\n")
    parser, events = in_pieces(answer, seed)
    parsed = parser.result()
    assert parsed == parse(answer, TOOLS, dialect="hermes")
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == [(c.name, c.arguments) for c in calls]
    assert (parsed.recoveries, parsed.problems, parsed.content) == ((), (), "")
    assert parsed.thinking == thought.strip("\n")
    shown = [e.text for e in events if isinstance(e, ArgumentText) and (e.index, e.argument) == (0, "content")]
    assert "".join(shown) == text


FORMS = {required: Rules(grammar(TOOLS, required=required, dialect="hermes").text) for required in (False, True)}


@pytest.mark.parametrize("required", [False, True], ids=["lazy", "required"])
def test_what_the_grammar_lets_through_is_read_without_recovery(required):
    for seed in range(60):
        chance = random.Random(seed)
        text = FORMS[required].sample(chance, chance.choice((20, 100, 400)))
        parsed = parse(text, TOOLS, dialect="hermes")
        assert parsed.tool_calls, text
        closed = text.rstrip().endswith("</tool_call>")
        assert parsed.recoveries == (() if closed else (Recovery.MISSING_CLOSER,)), text
        assert not parsed.problems, text
        for call in parsed.tool_calls:
            needed = {"bash": {"command"}, "write": {"path", "content"}}.get(call.name, set())
            assert needed <= call.arguments.keys(), text
            assert call.arguments.get("e", "one") in ("one", 'two "2"', "5"), text


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (CALL, True),
        ('<tool_call>\n{"name": "kinds", "arguments": {"e": "5", "b": true, "n": -1.5e3}}\n</tool_call>', True),
        ('<tool_call>\n{"name": "kinds", "arguments": {"o": null}}\n</tool_call>', True),
        ('<tool_call>\n{"name": "kinds", "arguments": {}}\n</tool_call>', True),
        ('<tool_call>\n{"name": "nothing", "arguments": {}}\n</tool_call>', True),
        ('<tool_call>\n{"name": "who", "arguments": {}}\n</tool_call>', False),
        ('<tool_call>\n{"name": "bash", "arguments": {}}\n</tool_call>', False),
        ('<tool_call>\n{"name": "bash", "arguments": {"command": 5}}\n</tool_call>', False),
        ('<tool_call>\n{"name": "kinds", "arguments": {"e": 5}}\n</tool_call>', False),
        ('<tool_call>\n{"name": "kinds", "arguments": {"b": true,}}\n</tool_call>', False),
        ('<tool_call>\n{"name": "bash", "arguments": {"command": "a\nb"}}\n</tool_call>', False),
    ],
)
def test_the_grammar_holds_calls_to_their_tools(text, good):
    assert FORMS[False].accepts(text) is good
    assert FORMS[True].accepts(text) is good
    assert FORMS[True].accepts(f"I do it.\n{text}") is good
    assert not FORMS[True].accepts(f"{text.splitlines()[1]}.0\n{text}")
    assert FORMS[True].accepts(f"<think>\na < b\n</think>\n\n{text}") is good
