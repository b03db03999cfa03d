"""Rules R1 to R9: calls that are not written as they should be."""

import pytest

PARAMETER = "<parameter=command>\nls\n</parameter>\n"
CALL = f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n</tool_call>"
OTHER = CALL.replace("ls", "pwd")
LS = ("bash", {"command": "ls"})
PWD = ("bash", {"command": "pwd"})
WRITE = ("write_file", {"path": "a", "content": "b"})
WRITING = "<parameter=path>\na\n</parameter>\n<parameter=content>\nb\n</parameter>\n</function>\n</tool_call>"

CASES = {
    # rule and case: answer, calls, content
    "R1 missing opener": (f"<function=bash>\n{PARAMETER}</function>\n</tool_call>", [LS], ""),
    "R1 missing wrapper": (f"<function=bash>\n{PARAMETER}</function>", [LS], ""),
    "R1 after prose": (f"I look.\n\n<function=bash>\n{PARAMETER}</function>\n</tool_call>", [LS], "I look.\n\n"),
    "R1 within a line, line break behind": (f"I look: <function=bash>\n{PARAMETER}</function>", [LS], "I look: "),
    "R1 at line start, parameter on the same line": (
        "<function=bash><parameter=command>ls</parameter></function></tool_call>",
        [LS],
        "",
    ),
    "R1 indented": (f"  <function=bash>\n{PARAMETER}</function>", [LS], ""),
    "R1 without parameters": ("<function=list_all>\n</function>\n</tool_call>", [("list_all", {})], ""),
    "R1 twice": (f"<function=bash>\n{PARAMETER}</function>\n{'<function=bash>'}\n{PARAMETER}</function>", [LS, LS], ""),
    "R1 a call without wrapper after one": (f"{CALL}\n<function=bash>\n{PARAMETER}</function>", [LS, LS], ""),
    "R1 value with a line break and CRLF": (f"x\r\n<function=bash>\r\n{PARAMETER}</function>", [LS], "x\r\n"),
    "R1 missing opener, prose behind": (
        f"<function=bash>\n{PARAMETER}</function>\n</tool_call>\nWait.",
        [LS],
        "\nWait.",
    ),
    "R1 missing wrapper, prose behind": (f"<function=bash>\n{PARAMETER}</function>\nWait.", [LS], "\nWait."),
    "R2 missing </tool_call>": (f"<tool_call>\n<function=bash>\n{PARAMETER}</function>", [LS], ""),
    "R2 missing </tool_call>, line break": (f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n", [LS], ""),
    "R2 missing </tool_call>, prose behind": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n\nNow wait.",
        [LS],
        "\n\nNow wait.",
    ),
    "R2 missing </tool_call>, next call": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n{OTHER}",
        [LS, PWD],
        "",
    ),
    "R2 missing </function>": (f"<tool_call>\n<function=bash>\n{PARAMETER}</tool_call>", [LS], ""),
    "R2 missing </function>, prose behind": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}</tool_call>\nOk.",
        [LS],
        "\nOk.",
    ),
    "R2 missing </function> and </tool_call>": (f"<tool_call>\n<function=bash>\n{PARAMETER}", [LS], ""),
    "R2 missing </function> and </tool_call>, next call": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}{OTHER}",
        [LS, PWD],
        "",
    ),
    "R2 missing </parameter>": (
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R2 missing </parameter> twice": (
        "<tool_call>\n<function=write_file>\n<parameter=path>\na\n<parameter=content>\nb\n</function>\n</tool_call>",
        [WRITE],
        "",
    ),
    "R2 missing </function>, no parameters": ("<tool_call>\n<function=list_all>\n</tool_call>", [("list_all", {})], ""),
    "R2 </content> instead of </parameter>": (
        "<tool_call>\n<function=write_file>\n<parameter=path>\na\n</path>\n<parameter=content>\nb\n</content>\n"
        "</function>\n</tool_call>",
        [WRITE],
        "",
    ),
    "R2 </tool_response> instead of </parameter>": (
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</tool_response>\n</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R2 missing > of closing tags": (
        "<tool_call\n<function=bash>\n<parameter=command>\nls\n</parameter\n</function\n</tool_call>",
        [LS],
        "",
    ),
    "R3 JSON in the function": ('<tool_call>\n<function=bash>\n{"command": "ls"}\n</function>\n</tool_call>', [LS], ""),
    "R3 orphan </tool_call>": (f"{CALL}\n</tool_call>", [LS], ""),
    "R3 orphan </function>": (f"{CALL}\n</function>", [LS], ""),
    "R3 orphan </function></tool_call>": (f"{CALL}</function></tool_call>\nText.", [LS], "\nText."),
    "R3 doubled </function>": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R3 doubled <tool_call>": (f"<tool_call>\n{CALL}", [LS], ""),
    "R3 tripled <tool_call>": (
        f"<tool_call>\n<tool_call><tool_call>\n<function=bash>\n{PARAMETER}</function>",
        [LS],
        "",
    ),
    "R3 doubled <tool_call> and </tool_call>": (f"<tool_call>\n{CALL}\n</tool_call>", [LS], ""),
    "R3 doubled header": (
        f"<tool_call>\n<function=bash>\n<function=bash>\n{PARAMETER}</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R3 doubled opener and header": (
        f"<tool_call>\n<function=bash>\n<tool_call>\n<function=bash>\n{PARAMETER}</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R3 text before the header": (
        f"<tool_call>\nI list:\n<function=bash>\n{PARAMETER}</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R3 text before the header, after prose": (
        f"So.\n<tool_call>bash\n<function=bash>\n{PARAMETER}</function>\n</tool_call>\nEnd.",
        [LS],
        "So.\n\nEnd.",
    ),
    "R4 two functions in a wrapper": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n<function=write_file>\n{WRITING}",
        [LS, WRITE],
        "",
    ),
    "R4 three functions in a wrapper": (
        "<tool_call>\n" + f"<function=bash>\n{PARAMETER}</function>\n" * 3 + "</tool_call>\nx",
        [LS, LS, LS],
        "\nx",
    ),
    "R4 undeclared second": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n<function=who>\n{PARAMETER}</function>\n</tool_call>",
        [LS, ("who", {"command": "ls"})],
        "",
    ),
    "R5 spaces in the header": (f"<tool_call>\n<function = bash >\n{PARAMETER}</function>\n</tool_call>", [LS], ""),
    "R5 double quotes": (f'<tool_call>\n<function="bash">\n{PARAMETER}</function>\n</tool_call>', [LS], ""),
    "R5 single quotes": (f"<tool_call>\n<function='bash'>\n{PARAMETER}</function>\n</tool_call>", [LS], ""),
    "R5 name attribute": (f'<tool_call>\n<function name="bash">\n{PARAMETER}</function>\n</tool_call>', [LS], ""),
    "R5 name attribute, spaces": (
        f"<tool_call>\n<function  name = 'bash' >\n{PARAMETER}</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R5 missing > of the function": (f"<tool_call>\n<function=bash\n{PARAMETER}</function>\n</tool_call>", [LS], ""),
    "R5 missing > with CRLF": (f"<tool_call>\r\n<function=bash\r\n{PARAMETER}</function>\n</tool_call>", [LS], ""),
    "R5 missing > of the parameter": (
        "<tool_call>\n<function=bash>\n<parameter=command\nls\n</parameter>\n</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R5 parameter with spaces": (
        "<tool_call>\n<function=bash>\n<parameter = command >\nls\n</parameter>\n</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R5 parameter with quotes": (
        '<tool_call>\n<function=bash>\n<parameter="command">\nls\n</parameter>\n</function>\n</tool_call>',
        [LS],
        "",
    ),
    "R5 parameter with name attribute": (
        '<tool_call>\n<function=bash>\n<parameter name="command">\nls\n</parameter>\n</function>\n</tool_call>',
        [LS],
        "",
    ),
    "R5 second parameter with name attribute": (
        '<tool_call>\n<function=write_file>\n<parameter=path>\na\n</parameter>\n<parameter name="content">\nb\n'
        "</parameter>\n</function>\n</tool_call>",
        [WRITE],
        "",
    ),
    "R5 parameter with a second attribute": (
        '<tool_call>\n<function=bash>\n<parameter=command type="string">\nls\n</parameter>\n</function>\n</tool_call>',
        [LS],
        "",
    ),
    "R5 <parameter>name>": (
        "<tool_call>\n<function=bash>\n<parameter>command>\nls\n</parameter>\n</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R5 <parameter>name> twice": (
        "<tool_call>\n<function=write_file>\n<parameter>path>\na\n</parameter>\n<parameter>content>\nb\n</parameter>\n"
        "</function>\n</tool_call>",
        [WRITE],
        "",
    ),
    "R5 <parameter>name> unclosed": (
        "<tool_call>\n<function=write_file>\n<parameter>path>\na\n<parameter>content>\nb\n</function>\n</tool_call>",
        [WRITE],
        "",
    ),
    "R5 names in closing tags": (
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter=command>\n</function=bash>\n</tool_call>",
        [LS],
        "",
    ),
    "R5 spaces in closing tags": (
        "<tool_call >\n<function=bash>\n<parameter=command>\nls\n</parameter >\n</function >\n</tool_call >",
        [LS],
        "",
    ),
    "R6 duplicate": (
        "<tool_call>\n<function=bash>\n<parameter=command>\nfirst\n</parameter>\n<parameter=command>\nls\n</parameter>\n"
        "</function>\n</tool_call>",
        [LS],
        "",
    ),
    "R7 undeclared tool": (
        f"<tool_call>\n<function=who>\n{PARAMETER}</function>\n</tool_call>",
        [("who", {"command": "ls"})],
        "",
    ),
    "R7 undeclared tool after prose": (
        f"So:\n\n<tool_call>\n<function=who>\n{PARAMETER}</function>\n</tool_call>\nOk.",
        [("who", {"command": "ls"})],
        "So:\n\n\nOk.",
    ),
    "R7 undeclared tool without parameters": (
        "<tool_call>\n<function=who>\n</function>\n</tool_call>",
        [("who", {})],
        "",
    ),
    "R8 end mark": (f"{CALL}<|im_end|>", [LS], ""),
    "R8 end mark and line break": (f"{CALL}\n<|im_end|>\n", [LS], ""),
    "R8 two end marks": (f"{CALL}<|im_end|><|endoftext|>", [LS], ""),
    "R8 end mark after text": ("Done.<|im_end|>", [], "Done."),
    "R8 end mark after text and line break": ("Done.\n<|im_end|>\n", [], "Done.\n"),
    "R8 end mark in the middle": ("a<|im_end|>b", [], "a<|im_end|>b"),
    "R8 end mark instead of </tool_call>": (
        f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n<|im_end|>",
        [LS],
        "",
    ),
    "R9 Hermes": ('<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>', [LS], ""),
    "R9 Hermes after prose": (
        'So.\n<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>\nOk.',
        [LS],
        "So.\n\nOk.",
    ),
    "R9 Hermes twice": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>\n' * 2,
        [LS, LS],
        "",
    ),
    "R9 Hermes, two in a wrapper": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n'
        '{"name": "bash", "arguments": {"command": "pwd"}}\n</tool_call>\nOk.',
        [LS, PWD],
        "\nOk.",
    ),
    "R9 Hermes with tags inside": (
        '<tool_call>\n{"name": "bash", "arguments": {"command": "</tool_call> <tool_call> } \\" {"}}\n</tool_call>',
        [("bash", {"command": '</tool_call> <tool_call> } " {'})],
        "",
    ),
    "R9 Hermes, arguments as text": (
        '<tool_call>{"name": "bash", "arguments": "{\\"command\\": \\"ls\\"}"}</tool_call>',
        [LS],
        "",
    ),
    "R9 Hermes, parameters": ('<tool_call>{"name": "bash", "parameters": {"command": "ls"}}</tool_call>', [LS], ""),
    "R9 Hermes, function": ('<tool_call>{"function": "bash", "arguments": {"command": "ls"}}</tool_call>', [LS], ""),
    "R9 Hermes, OpenAI's form": (
        '<tool_call>{"type": "function", "function": {"name": "bash", "arguments": {"command": "ls"}}}</tool_call>',
        [LS],
        "",
    ),
    "R9 Hermes, line break in a string": (
        '<tool_call>{"name": "bash", "arguments": {"command": "a\nb"}}</tool_call>',
        [("bash", {"command": "a\nb"})],
        "",
    ),
    "R9 Hermes, missing closer": ('<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}', [LS], ""),
    "R9 Hermes, doubled opener": (
        '<tool_call>\n<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}',
        [LS],
        "",
    ),
    "R9 Hermes, no arguments": ('<tool_call>{"name": "list_all"}</tool_call>', [("list_all", {})], ""),
    "R9 Hermes, text for a number": (
        '<tool_call>{"name": "bash", "arguments": {"command": "ls", "timeout": "5"}}</tool_call>',
        [("bash", {"command": "ls", "timeout": 5})],
        "",
    ),
    "R9 Hermes, an object for text": (
        '<tool_call>{"name": "bash", "arguments": {"command": {"a": ["é"]}}}</tool_call>',
        [("bash", {"command": '{"a": ["é"]}'})],
        "",
    ),
    "R9 Hermes, unknown tool": ('<tool_call>\n{"name": "who", "arguments": {}}\n</tool_call>', [("who", {})], ""),
}


@pytest.mark.parametrize(("text", "calls", "content"), CASES.values(), ids=CASES)
def test_recovered(read, text, calls, content):
    parsed = read(text)
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == calls
    assert parsed.content == content
    assert not parsed.truncated


WELL_FORMED = ("R4 ", "R7 ", "R8 ")


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith(WELL_FORMED)])
def test_recovery_is_counted(read, name):
    assert read(CASES[name][0]).recoveries


def test_well_formed_is_no_recovery(read):
    parsed = read(f"Text.\n\n{CALL}\n{OTHER}")
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == [LS, PWD]
    assert (parsed.recoveries, parsed.content, parsed.problems) == ((), "Text.\n\n", ())


@pytest.mark.parametrize(
    "body", ['{"name": 5}', "{}", '{"a": 1}', '{"name": "bash", "arguments": [1]}', '{"name": bash}']
)
def test_r9_json_that_is_no_call_stays_in_the_text(read, body):
    text = f"<tool_call>\n{body}\n</tool_call>\nOk."
    parsed = read(text)
    assert parsed.tool_calls == ()
    assert parsed.content == text


MISFORMED = {
    "no header": "<tool_call>\nbash ls\n</tool_call>",
    "parameter without function": f"<tool_call>\n{PARAMETER}</tool_call>",
    "bare unknown function": f"<function=who>\n{PARAMETER}</function>",
    "broken JSON": '<tool_call>\n{"name": "bash", "arguments": {"command": ls}}\n</tool_call>',
    "JSON that is no call": '<tool_call>\n{"command": "ls"}\n</tool_call>',
    "name behind the tag": "I look.\n<function>bash</function>\n<parameter>command</parameter>\n<value>ls</value>\n",
    "name as in the list of tools": "<function>\n<name>bash</name>\n<parameter>ls</parameter>\n</function>",
    "in a fence at the end": f"I run it.\n```xml\n{CALL}\n```\n",
    "in a fence that stays open": f"I run it.\n```xml\n{CALL}",
}


@pytest.mark.parametrize("text", MISFORMED.values(), ids=MISFORMED)
def test_what_cannot_be_recovered_is_told_in_one_line(read, text):
    parsed = read(text)
    assert parsed.tool_calls == ()
    assert parsed.content == text
    (problem,) = parsed.problems
    assert "write" in problem.text
    assert "\n" not in problem.text


@pytest.mark.parametrize(
    "text",
    [
        "Between <tool_call> and </tool_call> stands the call.",
        f"```\n{CALL}\n```\nSo it looks.",
        "The form is `<tool_call><function=bash></function></tool_call>`.",
        f"<tool_call>\nbash ls\n</tool_call>\n{CALL}",
        "```\nx = 1\n```",
        "The list has <function> for each tool, and </function> ends it.\n<function>who</function> is not among them.",
        f"```\n<function>bash</function>\n```\n{CALL}",
    ],
)
def test_no_problem_is_told_for_prose_or_beside_a_call(read, text):
    assert read(text).problems == ()
