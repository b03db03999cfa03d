"""Edits by somebody who wants them to land in the wrong place."""

import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qcode_tools.match import Found, locate

INDENTS = st.sampled_from(["", "  ", "    ", "\t", "        "])
LINES = st.lists(
    st.one_of(
        st.just(""),
        st.tuples(INDENTS, st.sampled_from(["a", "b", "x = 1", "if y:", "}", "a b", "#"])).map("".join),
    ),
    min_size=1,
    max_size=10,
)
SPACES = re.compile(r"\s+")


def bare(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines]


@settings(max_examples=60)
@given(lines=LINES, old=LINES, new=LINES)
def test_what_is_replaced_differs_from_what_was_asked_in_whitespace_only(
    lines: list[str], old: list[str], new: list[str]
) -> None:
    text, wanted = "\n".join(lines), "\n".join(old)
    assume(wanted.strip())
    found = locate(text, wanted, "\n".join(new))
    if isinstance(found, Found):
        there = text[found.start : found.end]
        assert bare(there.strip("\n").split("\n")) == bare(wanted.strip("\n").split("\n")) or there == wanted
        assert SPACES.sub("", found.new) == SPACES.sub("", "\n".join(new))
        if there != wanted:
            assert found.note


@settings(max_examples=60)
@given(lines=LINES, copies=st.integers(2, 3), shift=INDENTS)
def test_of_two_places_none_is_taken(lines: list[str], copies: int, shift: str) -> None:
    # With tabs among spaces the two may differ in structure, and then one of them is meant.
    assume(any(line.strip() for line in lines) and not any("\t" in line for line in [shift, *lines]))
    block = "\n".join(["begin {", *lines, "end }"])
    moved = "\n".join(shift + line if line else line for line in block.split("\n"))
    text = "\n===\n".join([moved, *[block] * (copies - 1)])
    # Neither of the two has this indentation, so both are as good.
    assert not isinstance(locate(text, "   " + block.replace("\n", "\n   "), "new"), Found)


@settings(max_examples=60)
@given(lines=LINES, first=st.integers(0, 9), count=st.integers(1, 6), shift=st.integers(0, 8), added=LINES)
def test_new_lines_keep_their_place_relative_to_the_old_ones(
    lines: list[str], first: int, count: int, shift: int, added: list[str]
) -> None:
    """The model gives a block with less indentation than the file has; what it adds must move like the rest."""
    block = [line for line in lines[first : first + count] if "\t" not in line]
    extra = [line for line in added if "\t" not in line]
    assume(any(line.strip() for line in block))
    deeper = [" " * shift + line if line.strip() else line for line in ["start:", *block, "stop"]]
    text = "\n".join(["before", *deeper, "after", ""])
    old = "\n".join(["start:", *block, "stop"])
    new = "\n".join(["start:", *block, *extra, "stop"])
    found = locate(text, old, new)
    assert isinstance(found, Found)
    result = text[: found.start] + found.new + text[found.end :]
    moved = [" " * shift + line if line.strip() else line for line in ["start:", *block, *extra, "stop"]]
    expected = "\n".join(["before", *moved, "after", ""])
    # An exact match of a part of a line is put in as it was given: nothing is carried over.
    if shift == 0 or text.count(old) == 0:
        assert [line.rstrip() for line in result.split("\n")] == [line.rstrip() for line in expected.split("\n")]
