"""Rules X1 and X2: an answer that ends too early."""

import pytest

HEAD = "<tool_call>\n<function=write_file>\n<parameter=path>\na\n</parameter>\n<parameter=content>\n"
VALUES = {
    "plain": "one\ntwo",
    "closing tag in a sentence": "see </parameter> here",
    "closing tag on a line": "see\n</parameter>\nhere",
    "complete example": (
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>\nend"
    ),
    "function without wrapper": "<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\nend",
    "markup": "<a><b></b></a> & < >",
}
TAIL = "\n</parameter>\n</function>\n</tool_call>"
BASH = "<tool_call>\n<function=bash>\n<parameter=command>\npwd\n</parameter>\n</function>\n</tool_call>"


def cuts(value):
    """Every beginning of the answer that ends before its last value is closed, or seems to be."""
    text = HEAD + value + TAIL
    end = len(HEAD) + len(value) + len("\n</parameter>")
    found = [text[:length] for length in range(len("<tool"), end)]
    return [cut for cut in found if len(cut) < len(HEAD) or not cut.rstrip().endswith("</parameter>")]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_x1_a_cut_call_is_left_out(read, value):
    for text in cuts(value):
        parsed = read(text)
        assert parsed.tool_calls == (), text
        assert parsed.truncated, text
        assert parsed.content == "", text
        assert len(parsed.problems) == 1


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_x1_complete_calls_and_text_before_stay(read, value):
    for text in cuts(value)[::7]:
        parsed = read(f"Text.\n\n{BASH}\n{text}")
        assert [(call.name, call.arguments) for call in parsed.tool_calls] == [("bash", {"command": "pwd"})]
        assert parsed.content == "Text.\n\n"
        assert parsed.truncated


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_x2_complete_with_its_function_closed(read, value):
    text = HEAD + value + TAIL
    function = len(text) - len("\n</tool_call>")
    for length in range(function, len(text) + 1):
        parsed = read(text[:length])
        assert [call.arguments for call in parsed.tool_calls] == [{"path": "a", "content": value}], text[:length]
        assert (parsed.content, parsed.truncated) == ("", False), text[:length]


def test_x2_a_function_that_is_being_closed_is_complete_when_it_has_all_that_it_needs(read):
    text = HEAD + "x" + TAIL
    for length in range(len(HEAD) + len("x\n</parameter>"), len(text)):
        if text[:length].endswith("\n<"):
            continue  # may as well open another parameter
        assert [call.arguments for call in read(text[:length]).tool_calls] == [{"path": "a", "content": "x"}]


def test_x1_a_call_without_a_required_argument_is_cut(read):
    parsed = read("<tool_call>\n<function=write_file>\n<parameter=path>\na\n</parameter>\n")
    assert (parsed.tool_calls, parsed.truncated) == ((), True)


def test_x1_a_parameter_that_begins_is_cut(read):
    text = "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n<param"
    parsed = read(text)
    assert (parsed.tool_calls, parsed.truncated) == ((), True)


@pytest.mark.parametrize(
    "cut", ["<tool_call>", "<tool_call>\n", "<tool_call>\n<function=ba", "<tool_call>\n<function=bash>\n"]
)
def test_x1_after_a_complete_call(read, cut):
    parsed = read(BASH + "\n" + cut)
    assert len(parsed.tool_calls) == 1
    assert parsed.truncated
    assert parsed.content == ""


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "bash", "arguments": {"command": "l',
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}',
        '<tool_call>\n{"na',
    ],
)
def test_x1_hermes(read, text):
    parsed = read("So.\n" + text)
    assert (parsed.tool_calls, parsed.truncated, parsed.content) == ((), True, "So.\n")


def test_x1_without_opener(read):
    text = "<function=bash>\n<parameter=command>\nls"
    for length in range(len("<func"), len(text)):
        parsed = read("So.\n" + text[:length])
        assert (parsed.tool_calls, parsed.truncated, parsed.content) == ((), True, "So.\n"), text[:length]


def test_x1_in_the_middle_of_a_line_only_a_header_tells(read):
    text = "So: <tool_call>\n<function=bash>\n<parameter=command>\nls"
    for length in range(len("So: <tool_call>\n<function=bash>"), len(text)):
        assert read(text[:length]).truncated
        assert read(text[:length]).content == "So: "


def test_x1_the_line_for_the_model_names_the_call(read):
    (problem,) = read(HEAD + "x").problems
    assert "content" in problem.text
    assert "write_file" in problem.text
    assert "\n" not in problem.text


@pytest.mark.parametrize(
    "text", ["a <", "a <t", "1 <", "see <para", "x </tool_call", "if a <tool", "`<tool_cal", "<|im_"]
)
def test_text_that_ends_in_what_might_be_a_tag_is_kept(read, text):
    parsed = read(text)
    assert (parsed.content, parsed.tool_calls, parsed.truncated) == (text, (), False)
