"""Rules N1 to N7: calls that are only shown, and text that stays as it is."""

import pytest

PARAMETER = "<parameter=command>\nls\n</parameter>\n"
CALL = f"<tool_call>\n<function=bash>\n{PARAMETER}</function>\n</tool_call>"
LINE = "<tool_call><function=bash><parameter=command>ls</parameter></function></tool_call>"
BARE = f"<function=bash>\n{PARAMETER}</function>"
LS = [("bash", {"command": "ls"})]

LITERAL = {
    "N1 backticks": f"So:\n```\n{CALL}\n```\nThat is it.",
    "N1 backticks with language": f"```xml\n{CALL}\n```",
    "N1 tildes": f"~~~\n{CALL}\n~~~\n",
    "N1 tildes with info and backticks": f"~~~ a `b`\n{CALL}\n~~~",
    "N1 longer fence": f"`````\n{CALL}\n```\n{CALL}\n`````",
    "N1 closing fence longer": f"```\n{CALL}\n``````\n",
    "N1 closing fence with spaces behind": f"```\n{CALL}\n```   \n",
    "N1 indented three": f"   ```\n{CALL}\n   ```",
    "N1 closing fence indented less": f"  ```\n{CALL}\n```",
    "N1 closing fence with text is none": f"```\n{CALL}\n``` x\n{CALL}\n```",
    "N1 closing fence of the other kind is none": f"```\n~~~\n{CALL}\n```",
    "N1 shorter closing fence is none": f"````\n{CALL}\n```\n{CALL}",
    "N1 indented closing fence is none": f"```\n    ```\n{CALL}\n```",
    "N1 unclosed": f"```python\n{CALL}",
    "N1 unclosed, text behind": f"```python\n{CALL}\nand so on",
    "N1 two fences": f"```\n{CALL}\n```\ntext\n```\n{CALL}\n```",
    "N1 function only": f"```\n{BARE}\n```",
    "N1 Hermes": '```\n<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>\n```',
    "N1 CRLF": f"```\r\n{CALL}\r\n```\r\n",
    "N1 in a fence cut": "```\n<tool_call>\n<function=bash>\n<parameter=command>\nl",
    "N1 tag on the fence's line": f"~~~ <tool_call>\n{CALL}\n~~~",
    "N1 fence with a call on its line": f"```{LINE}\nx\n```",
    "N2 backtick": f"Write `{LINE}` to call.",
    "N2 two backticks": f"Write ``{LINE}`` to call.",
    "N2 two backticks round one": f"Write `` ` {LINE} `` to call.",
    "N2 opener": "The `<tool_call>` tag, then `<function=bash>` and `<parameter=command>`.",
    "N2 at line start": f"`{LINE}`",
    "N2 twice in a line": f"`{LINE}` and `{LINE}`",
    "N2 after an unmatched run": f"a `` b `{LINE}` c",
    "N2 bare header at the end of a span": "Use `<function=bash>`\n<parameter=command>",
    "N2 three backticks in a line": f"```{LINE}``` is code",
    "N3 in a sentence": "Use <tool_call> to call a tool.",
    "N3 at line start": "<tool_call> is the opener.",
    "N3 at line start, long": "<tool_call> is the opener. " + "It is followed by a function. " * 40,
    "N3 alone on its line": "The opener:\n<tool_call>\nand so on",
    "N3 both tags": "Between <tool_call> and </tool_call> stands the call.",
    "N3 no header": "<tool_call>\nbash ls\n</tool_call>",
    "N3 header unfinished": "<tool_call>\n<function= >\nx",
    "N3 many": "<tool_call> x " * 50,
    "N3 many lines": "<tool_call>\n" * 50 + "x",
    "N3 header without parameters in prose": "Write <tool_call><function=bash> and then the parameters.",
    "N3 parameter": "<tool_call>\n<parameter=command>\nls\n</parameter>\n</tool_call>",
    "N4 undeclared name in a line": f"Say <tool_call>\n<function=who>\n{PARAMETER}</function>\n</tool_call> here.",
    "N4 undeclared on one line": "Say <tool_call><function=who></function></tool_call> here.",
    "N4 undeclared at line start, not well-formed": "<tool_call>\n<function=who>\nhm\n</function>\n</tool_call>",
    "N5 bare undeclared": f"<function=who>\n{PARAMETER}</function>\n</tool_call>",
    "N5 bare in a line": "Write <function=bash><parameter=command>ls</parameter></function> here.",
    "N5 bare header in a sentence": "The tag <function=bash> opens it.",
    "N5 bare header at line start, text behind": "<function=bash> opens it.",
    "N5 bare header alone": "It begins with\n<function=bash>\nand ends later.",
    "N5 bare closing tags": "</parameter>\n</function>\n</tool_call>",
    "N5 bare parameter": "<parameter=command>\nls\n</parameter>",
    "N5 bare JSON": '{"name": "bash", "arguments": {"command": "ls"}}',
    "N5 JSON in a fence": '```json\n{"name": "bash", "arguments": {}}\n```',
    "N6 closed thinking": f"<think>\nI could\n{CALL}\n</think>\nNo.",
    "N6 closed thinking, Hermes": '<think><tool_call>{"name": "bash", "arguments": {}}</tool_call></think>',
    "N6 closed thinking, opener only": "<think>maybe <tool_call>\n<function=bash>\n</think>\nNo.",
    "N6 closed thinking, bare": f"<think>\n{BARE}\n</think>",
    "N6 thinking twice": f"<think>{CALL}</think>\n<think>{CALL}</think>",
    "N7 empty": "",
    "N7 blanks": " \n\t\n",
    "N7 text": "Hello, world!\n",
    "N7 leading and trailing": "\n\n  Hello  \n\n",
    "N7 markup": "if a < b and c > d: <div class='x'> </div> <!-- --> &lt; <",
    "N7 Markdown": "# A\n\n* b `c`\n* d\n\n> e\n\n```py\nf\n```\n\n---\n",
    "N7 unmatched backticks": "a ` b `` c ``` d\n` e",
    "N7 think": "<think>\nhm\n</think>\n\nHi.",
    "N7 unclosed think": "<think>\nhm",
    "N7 lone think end": "hm\n</think>\nHi.",
    "N7 exotic": "\ufeffa\u2028b\u0085c\0d\r e\r\n\U0001f600",
    "N7 closing tags": "a </tool_call> b </function> c </parameter> d",
    "N7 similar tags": "<tool_calls> <tool_call/> <functions=a> <function> <parameter> <function=> <TOOL_CALL>",
    "N7 responses": "<tool_response>\nx\n</tool_response>",
}


@pytest.mark.parametrize("text", LITERAL.values(), ids=LITERAL)
def test_literal(read, text):
    parsed = read(text)
    assert parsed.tool_calls == ()
    assert parsed.content == text
    assert not parsed.truncated


@pytest.mark.parametrize(
    "name", [name for name in LITERAL if "unclosed" not in name and "cut" not in name and "shorter" not in name]
)
def test_a_call_behind_it_counts(read, name):
    text = LITERAL[name]
    parsed = read(f"{text}\n\n{CALL}")
    assert [(call.name, call.arguments) for call in parsed.tool_calls] == LS
    assert parsed.content == (f"{text}\n\n" if text.strip() else "")


EXECUTED = {
    "N1 after a closed fence": (f"```\ncode\n```\n{CALL}", "```\ncode\n```\n"),
    "N1 four spaces are no fence": (f"    ```\n{CALL}", "    ```\n"),
    "N1 two backticks are no fence": (f"``\n{CALL}", "``\n"),
    "N1 a backtick in the info makes no fence": (f"``` a`b\n{CALL}", "``` a`b\n"),
    "N1 a fence within a line is none": (f"see ```\n{CALL}", "see ```\n"),
    "N1 a fence in a value is the value's": (CALL.replace("ls", "```"), ""),
    "N2 unmatched backtick": (f"It's `ls\n{CALL}", "It's `ls\n"),
    "N2 unmatched backtick on the line": (f"It's `ls: {CALL}", "It's `ls: "),
    "N2 other length": (f"a `` b ` {CALL}", "a `` b ` "),
    "N2 span before": (f"I run `ls`: {CALL}", "I run `ls`: "),
    "N2 span over lines is none": (f"a `b\n{CALL}\nc` d", "a `b\n\nc` d"),
    "N4 declared name in a line": (f"I run {CALL}", "I run "),
    "N4 declared on one line": (f"I run {LINE} now.", "I run  now."),
    "N6 unclosed thinking": (f"<think>\nI run\n{CALL}", "<think>\nI run\n"),
    "N6 unclosed thinking, text behind": (f"<think>\n{CALL}\nso", "<think>\n\nso"),
    "N6 after thinking": (f"<think>\nhm\n</think>\n\n{CALL}", "<think>\nhm\n</think>\n\n"),
    "N6 after thinking with a call": (f"<think>{BARE}</think>\n{CALL}", f"<think>{BARE}</think>\n"),
    "N6 a fence that thinking leaves open": (f"<think>\n```\n</think>\n{CALL}", "<think>\n```\n</think>\n"),
    "N6 thinking shown in a fence": (f"```\n<think>\n```\n{CALL}", "```\n<think>\n```\n"),
    "N6 the end of thinking without its beginning": (f"hm\n</think>\n{CALL}", "hm\n</think>\n"),
    "N7 text between and after": (f"a\n{CALL}\nb\n{CALL}\nc", "a\n\nb\n\nc"),
    "N7 nothing but blanks between": (f"{CALL}\n\n \n{CALL}\n\n", ""),
    "N7 text on the same lines": (f"a {CALL} b", "a  b"),
    "N7 lone opener before": (f"Use <tool_call> so:\n{CALL}", "Use <tool_call> so:\n"),
}


@pytest.mark.parametrize(("text", "content"), EXECUTED.values(), ids=EXECUTED)
def test_executed(read, text, content):
    parsed = read(text)
    assert {call.name for call in parsed.tool_calls} == {"bash"}
    assert parsed.content == content
