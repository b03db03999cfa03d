"""Edits land where they are meant to, or nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcode_tools.closest import closest_region
from qcode_tools.match import Found, Several, locate, unfenced


def applied(text: str, old: str, new: str) -> str | Several | None:
    found = locate(text, old, new)
    return text[: found.start] + found.new + text[found.end :] if isinstance(found, Found) else found


CLASS = "class A:\n    def f(self):\n        if x:\n            return 1\n        return 2\n"


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        pytest.param("a = 1\nb = 2\n", "b = 2", "b = 3", "a = 1\nb = 3\n", id="exact"),
        pytest.param("a = 1  \nb = 2\t\n", "a = 1\nb = 2", "a = 2\nb = 2", "a = 2\nb = 2\t\n", id="line ends"),
        pytest.param(
            CLASS,
            "def f(self):\n    if x:\n        return 1",
            "def f(self):\n    if y:\n        z()\n        return 1",
            CLASS.replace("if x:\n", "if y:\n            z()\n"),
            id="indentation added",
        ),
        pytest.param(
            "def f():\n    if x:\n        return 1\n",
            "    def f():\n        if x:\n            return 1\n",
            "    def f():\n        return 2\n",
            "def f():\n    return 2\n",
            id="indentation removed",
        ),
        pytest.param(
            "func f() {\n\tif x {\n\t\treturn 1\n\t}\n}\n",
            "    if x {\n        return 1\n    }",
            "    if x {\n        if y {\n            return 2\n        }\n    }",
            "func f() {\n\tif x {\n\t\tif y {\n\t\t\treturn 2\n\t\t}\n\t}\n}\n",
            id="spaces for tabs",
        ),
        pytest.param(
            "if x:\n    if y:\n        z()\n",
            "if x:\n\tif y:\n\t\tz()\n",
            "if x:\n\tif y:\n\t\twhile 1:\n\t\t\tz()\n",
            "if x:\n    if y:\n        while 1:\n            z()\n",
            id="tabs for spaces",
        ),
        pytest.param(
            CLASS,
            "     2\t    def f(self):\n     3\t        if x:",
            "     2\t    def f(self):\n     3\t        if y:",
            CLASS.replace("if x", "if y"),
            id="line numbers",
        ),
        pytest.param(
            CLASS, "     4\t            return 1\n", "            return 3\n", CLASS.replace("1", "3"), id="one number"
        ),
        pytest.param("a\nb\n", "```python\na\n```", "```python\nc\n```", "c\nb\n", id="fenced"),
        pytest.param("a\n\n\nb", "\nb\n", "\nc\n", "a\n\n\nc", id="no newline at the end of the file"),
        pytest.param("a  \nb\nc\n", "a\nb\n", "", "c\n", id="lines deleted"),
        pytest.param("x\n  a\n\n  b\ny\n", "a\n\nb", "a\n\nc", "x\n  a\n\n  c\ny\n", id="blank line inside"),
        pytest.param("foo(a,\n    b)\n", "foo(a,\n    b)\n", "bar()\n", "bar()\n", id="whole file"),
        pytest.param("ab ab", "ab ", "x", "xab", id="part of a line"),
    ],
)  # fmt: skip
def test_an_edit_is_applied(text: str, old: str, new: str, expected: str) -> None:
    assert applied(text, old, new) == expected


@pytest.mark.parametrize(
    ("text", "old"),
    [
        pytest.param("a = 1\n", "a = 2", id="absent"),
        pytest.param("if x:\n    a\n  b\n", "if x:\n  a\n  b\n", id="indentation differs unevenly"),
        pytest.param("if x:\n    a\n    b\n", "if x:\n    a\nb\n", id="another block structure"),
        pytest.param("a=1\nb=2\n", "a = 1\nb = 2", id="whitespace inside a line"),
        pytest.param("abc\n", "     1\txyz", id="numbered and absent"),
        pytest.param("abc\n", "\n\n  \n", id="only blank"),
    ],
)
def test_no_guess_is_made(text: str, old: str) -> None:
    found = locate(text, old, "new")
    assert found is None or (isinstance(found, Found) and text[found.start : found.end] == old)


def test_what_is_there_twice_is_not_touched() -> None:
    assert locate("x = 1\ny\nx = 1\n", "x = 1", "x = 2") == Several((1, 3), more=False)
    assert locate("  if a:\n    b\nif a:\n  b  \n", "    if a:\n      b", "c") == Several((1, 3), more=False)
    many = locate("x\n" * 50, "x", "y")
    assert isinstance(many, Several) and many.more and len(many.lines) == 20


@given(
    lines=st.lists(st.sampled_from(["a", "  b", "    c", "", "d  "]), max_size=12),
    where=st.integers(0, 12),
    shift=st.sampled_from(["", "  ", "    ", "\t"]),
)
def test_a_tolerant_edit_changes_only_its_lines(lines: list[str], where: int, shift: str) -> None:
    block = ["if start:", "    one", "", "    two"]
    at = min(where, len(lines))
    text = "\n".join([*lines[:at], *(shift + line if line else line for line in block), *lines[at:], ""])
    old = "\n".join(f"{line}  " if line else line for line in block)
    result = applied(text, old, old.replace("two", "three"))
    changed = [
        *lines[:at],
        *(shift + line.replace("two", "three") if line else line for line in block),
        *lines[at:],
        "",
    ]
    assert isinstance(result, str)
    assert [line.rstrip() for line in result.split("\n")] == [line.rstrip() for line in changed]


@pytest.mark.parametrize(
    ("given_text", "bare"),
    [
        ("```py\nx\n```", "x"), ("```\nx\ny\n```\n", "x\ny"), ("x", "x"), ("```\nx", "```\nx"),
        ("```\na\n```\nb\n```\nc\n```", "```\na\n```\nb\n```\nc\n```"), ("text ```x```", "text ```x```"),
    ],
)  # fmt: skip
def test_a_fence_round_all_of_it_goes_and_no_other(given_text: str, bare: str) -> None:
    assert unfenced(given_text) == bare


def test_the_closest_region_is_the_similar_one_and_the_first_difference_is_named() -> None:
    text = "".join(f"def function_{i}(a, b):\n    return a + b + {i}\n\n" for i in range(300))
    region = closest_region(text, "def function_123(a, b, c):\n    return a + b + 123\n")
    assert region is not None and (region.first, region.last) == (370, 371)
    assert "Line 370 differs" in region.difference and "(a, b, c)" in region.difference


def test_a_missing_line_is_named() -> None:
    region = closest_region("one()\ntwo()\nthree()\nfour()\n", "one()\nthree()\nfour()")
    assert region is not None and "two()" in region.difference


def test_whitespace_that_differs_is_made_visible() -> None:
    region = closest_region("if alpha:\n    beta()\n  gamma()\n", "if alpha:\n  beta()\n  gamma()")
    assert region is not None and "····beta()" in region.difference


def test_nothing_similar_is_no_region() -> None:
    assert closest_region("alpha beta gamma\n", "zeta = eta(theta)") is None
    assert closest_region("", "x = 1") is None


@pytest.mark.parametrize("text", ["x" * 10_000_000, "    }\n" * 1_500_000, "word " * 2_000_000])
def test_a_large_file_of_one_pattern_is_searched_in_bounded_work(text: str) -> None:
    # Quadratic work would take hours here.
    old = "    }\n" * 1000 + "word wird not there"
    assert locate(text, old, "y") is None
    closest_region(text, old)
