"""What holds for every answer, however strange."""

import json
import random
import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from qcode.codec import ArgumentText, StreamParser, Text, parse, render
from qcode.messages import Assistant, ToolCall

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS | st.sampled_from(list("\n\r\t <>/`{}&")), max_size=60).filter(
    lambda text: "<|" not in text and "</" not in text
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "integer": st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "boolean": st.booleans(),
    "array": st.lists(JSON, max_size=4),
    "object": st.dictionaries(TEXTS, JSON, max_size=4),
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[ToolCall]]:
    """Some tools, and calls to them with arguments of their types."""
    tools, made = [], []
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        kinds = draw(st.dictionaries(NAMES, st.sampled_from(sorted(KINDS)), max_size=4))
        nullable = {key: draw(st.booleans()) for key, kind in kinds.items() if kind != "string"}
        properties = {
            key: {"anyOf": [{"type": kind}, {"type": "null"}]} if nullable.get(key) else {"type": kind}
            for key, kind in kinds.items()
        }
        tools.append({"name": name, "parameters": {"type": "object", "properties": properties}})
        for number in range(draw(st.integers(0, 2))):
            arguments = {
                key: draw(KINDS[kind] | st.none() if nullable.get(key) else KINDS[kind]) for key, kind in kinds.items()
            }
            made.append(ToolCall(id=f"{name}{number}", name=name, arguments=arguments))
    return tools, made


def in_pieces(text: str, tools: Any, chance: random.Random) -> StreamParser:
    parser = StreamParser(tools)
    content = []
    position = 0
    while position < len(text):
        length = chance.choice((1, 1, 1, 2, 3, 7, 30))
        content += [event.text for event in parser.feed(text[position : position + length]) if isinstance(event, Text)]
        position += length
    content += [event.text for event in parser.finish() if isinstance(event, Text)]
    assert "".join(content) == parser.result().content
    return parser


@settings(max_examples=200, deadline=None)
@given(calls(), st.text(CHARACTERS.filter(lambda c: c not in "<`~"), max_size=30), st.randoms())
def test_what_is_rendered_is_read_back(made, prose, chance):
    tools, expected = made
    prompt = render("", (Assistant(text=prose, tool_calls=tuple(expected)),), (), generation_prompt=False)
    answer = prompt.removeprefix("<|im_start|>assistant\n").removesuffix("\n")
    parsed = parse(answer, tools)
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == [
        (call.name, call.arguments) for call in expected
    ]
    assert (parsed.recoveries, parsed.problems, parsed.truncated) == ((), (), False)
    assert parsed.content.strip() == prose.strip()
    assert in_pieces(answer, tools, chance).result() == parsed


FRAGMENTS = [
    "<tool_call>", "</tool_call>", "<function=f>", "<function=g>", "<function=who>", "</function>", "<parameter=a>",
    "<parameter=b>", "<parameter=c>", "</parameter>", "<parameter>a>", '<function name="f">', "<function=f", "\n", "\n",
    "\n", "\r\n", " ", "x", "text ", "`", "``", "```", "\n```\n", "~~~", "<think>", "</think>", "<|im_end|>",
    '{"name": "f", "arguments": {}}', '{"name', "{", "}", '"', "<", "</", "<tool", "</para", "<function", ">",
    "é\U0001f600",
    "<tool_call>\n<function=f>\n<parameter=a>\n", "\n</parameter>\n</function>\n</tool_call>", "\0", "\u2028",
    "many words " * 10, "more of them\n" * 9, "x" * 150, "f(x)\n" * 420, "</path>",
    "</tool_call", "</parameter", "'", "\\",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)
SOUP_TOOLS = [
    {"name": "f", "parameters": {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]}},
    {"name": "g", "parameters": {"properties": {"a": {"type": "array"}}}},
]


@settings(max_examples=1000, deadline=None)
@given(SOUP, st.randoms())
def test_every_cut_gives_the_same(text, chance):
    whole = parse(text, SOUP_TOOLS)
    assert in_pieces(text, SOUP_TOOLS, chance).result() == whole
    json.dumps([call.arguments for call in whole.tool_calls])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([part for part in FRAGMENTS if "function" not in part and "{" not in part])).map("".join)
)
def test_an_answer_without_calls_is_its_text(text):
    parsed = parse(text + "\n.", SOUP_TOOLS)
    assert parsed.tool_calls == ()
    assert parsed.content == text + "\n."


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text("<>/=|{}\"'`~\n\r tool_calfunciprme", max_size=80))
def test_no_text_raises(text):
    for tools in (SOUP_TOOLS, None):
        parser = StreamParser(tools)
        for character in text:
            parser.feed(character)
        parser.finish()
        assert parser.result() == parse(text, tools)


def test_s_a_long_value_is_shown_as_it_comes():
    parser = StreamParser(SOUP_TOOLS)
    parser.feed("<tool_call>\n<function=f>\n<parameter=a>\n")
    shown = ""
    for number in range(1000):
        line = f"line {number} < </b> <i>&\n"
        events = parser.feed(line)
        assert all(isinstance(event, ArgumentText) for event in events)
        shown += "".join(event.text for event in events)
        assert f"line {number} < </b> <i>&" in shown
    parser.feed("</parameter>\n</function>\n</tool_call>")
    parser.finish()
    assert parser.result().tool_calls[0].arguments["a"] + "\n" == shown + "\n"


def test_s_text_is_shown_as_it_comes():
    parser = StreamParser(SOUP_TOOLS)
    words = ["The ", "`<tool_call>` ", "tag, ", "a <b> ", "and <tool_call> ", "too: <function=f> ", "end", ".\n"]
    fed = shown = ""
    for word in words * 20:
        fed += word
        shown += "".join(event.text for event in parser.feed(word) if isinstance(event, Text))
        assert fed.startswith(shown)
        assert len(fed) - len(shown) < 25


def test_s_nothing_after_the_end():
    parser = StreamParser(None)
    parser.feed("x")
    parser.finish()
    assert parser.finish() == []
    assert parser.result().content == "x"


def test_only_the_standard_library_is_imported():
    code = (
        "import sys; before = set(sys.modules); import qcode.codec;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names) - {'qcode'}),"
        "sorted(name for name in sys.modules if name.startswith('qcode.') and not name.startswith('qcode.codec')))"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, encoding="utf-8"
    )
    assert found.stdout.split() == ["[]", "[]"]
