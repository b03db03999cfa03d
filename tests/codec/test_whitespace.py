"""Rules W1 to W3: what of the white space round a value is framing."""

import pytest

VALUES = {
    "W1 one line": ("\nls\n", "ls"),
    "W1 indented first line": ("\n    return 1\n", "    return 1"),
    "W1 tabs": ("\n\tif x:\n\t\ty\n", "\tif x:\n\t\ty"),
    "W1 trailing newline kept": ("\na\n\n", "a\n"),
    "W1 many newlines kept": ("\n\n\na\n\n\n", "\n\na\n\n"),
    "W1 trailing spaces kept": ("\na  \n", "a  "),
    "W1 only spaces": ("\n   \n", "   "),
    "W1 spaces before the framing newline": ("  \na\n", "  \na"),
    "W1 empty": ("\n\n", ""),
    "W1 empty with one newline": ("\n", ""),
    "W1 nothing at all": ("", ""),
    "W1 one newline as value": ("\n\n\n", "\n"),
    "W1 no framing": ("ls", "ls"),
    "W1 no framing in front": ("ls\n", "ls"),
    "W1 no framing behind": ("\nls", "ls"),
    "W1 no framing, spaces": (" ls ", " ls "),
    "W1 NBSP": ("\n\u00a0a\u00a0\n", "\u00a0a\u00a0"),
    "W1 BOM": ("\n\ufeffa\n", "\ufeffa"),
    "W1 U+2028": ("\n\u2028a\u2028\n", "\u2028a\u2028"),
    "W1 U+0085": ("\n\u0085a\u0085\n", "\u0085a\u0085"),
    "W1 form feed and vertical tab": ("\n\f\va\v\f\n", "\f\va\v\f"),
    "W1 NUL": ("\na\0b\n", "a\0b"),
    "W1 lone CR": ("\n\ra\r\n", "\ra\r"),
    "W1 lone CR in front": ("\ra\n", "\ra"),
    "W1 two CR in front": ("\r\r\na\n", "\r\r\na"),
    "W1 combining and astral": ("\ne\u0301 \U0001f600\n", "e\u0301 \U0001f600"),
    "W2 CRLF framing": ("\r\na\r\nb\r\n", "a\r\nb"),
    "W2 CRLF framing, LF at the end stays": ("\r\na\n", "a\n"),
    "W2 CRLF framing, empty": ("\r\n\r\n", ""),
    "W2 CRLF framing, only one": ("\r\n", ""),
    "W2 CRLF framing, CR at the end stays": ("\r\na\r", "a\r"),
    "W2 CRLF framing, blank line stays": ("\r\na\r\n\r\n", "a\r\n"),
    "W2 LF framing keeps the CR": ("\na\r\nb\r\n", "a\r\nb\r"),
    "W3 entities": ("\nif a &lt; b &amp;&amp; c &gt; d: &#39;\n", "if a &lt; b &amp;&amp; c &gt; d: &#39;"),
    "W3 raw XML": ('\n<a b="1">&<![CDATA[x]]><!-- c --></a>\n', '<a b="1">&<![CDATA[x]]><!-- c --></a>'),
    "W3 backslashes": ("\na\\nb\\\\\n", "a\\nb\\\\"),
    "W3 emoji and CJK": ("\n名字 👩‍👩‍👧 = 'é'\n", "名字 👩‍👩‍👧 = 'é'"),
    "W3 diff": ("\n--- a\n+++ b\n@@ -1 +1 @@\n-<a>\n+<b>\n", "--- a\n+++ b\n@@ -1 +1 @@\n-<a>\n+<b>"),
}


@pytest.mark.parametrize(("raw", "value"), VALUES.values(), ids=VALUES)
def test_value(read, raw, value):
    text = f"<tool_call>\n<function=bash>\n<parameter=command>{raw}</parameter>\n</function>\n</tool_call>"
    parsed = read(text)
    assert [call.arguments for call in parsed.tool_calls] == [{"command": value}]
    assert (parsed.content, parsed.recoveries, parsed.problems, parsed.truncated) == ("", (), (), False)


@pytest.mark.parametrize(("raw", "value"), VALUES.values(), ids=VALUES)
def test_value_before_another(read, raw, value):
    text = (
        f"Text.\n\n<tool_call>\n<function=write_file>\n<parameter=path>{raw}</parameter>\n"
        "<parameter=content>\nx\n</parameter>\n</function>\n</tool_call>"
    )
    parsed = read(text)
    assert [call.arguments for call in parsed.tool_calls] == [{"path": value, "content": "x"}]
    assert parsed.content == "Text.\n\n"


def test_w2_crlf_everywhere(read):
    text = (
        "<tool_call>\r\n<function=bash>\r\n<parameter=command>\r\nls\r\n</parameter>\r\n</function>\r\n</tool_call>\r\n"
    )
    parsed = read(text)
    assert [call.arguments for call in parsed.tool_calls] == [{"command": "ls"}]
    assert (parsed.content, parsed.recoveries) == ("", ())
