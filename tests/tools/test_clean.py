"""Nothing that a command prints reaches the terminal as anything but text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcode_tools.clean import LiveCleaner, clean, visible


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;Zm9v\x07", ""),
        ("\x1b]0;never closed\nnext", "\nnext"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("\x1b(B\x1b[?25lx\x1b[2J\x1b[H", "x"),
        ("\x9b31mred", "red"),
        ("10%\r50%\r100%\ndone", "100%\ndone"),
        ("10%\r50%\r", "50%"),
        ("dos\r\nlines\r\n", "dos\nlines\n"),
        ("odd\r\r\nlines", "odd\nlines"),
        ("b\bbo\bol\bld", "bold"),
        ("bell\x07 nul\x00 del\x7f", "bell nul del"),
        ("evil\u202etxt.exe", "evil\\u202etxt.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("می‌خواهم 👩‍👩‍👧", "می‌خواهم 👩‍👩‍👧"),
    ],
)
def test_output_is_cleaned(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(raw=st.text(alphabet=st.sampled_from("ab\n\t\r\b\x1b[]0;m\x07\x00\x9b\x9d\\\u202e\udc80é"), max_size=60))
def test_nothing_that_acts_is_left(raw: str) -> None:
    for text in (clean(raw), visible(raw)):
        assert not any(c in text for c in "\r\b\x1b\x07\x00\x9b\x9d\u202e\udc80")
        text.encode()


def test_text_of_a_file_is_kept_but_its_controls_are_spelled_out() -> None:
    assert visible("a\x1b[2J\r\nb\rc") == "a\\x1b[2J\nb\\x0dc"


@given(
    raw=st.text(alphabet=st.sampled_from("ab\n\r\x1b[m3"), max_size=60).map(lambda text: text + "\n"),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_pieces_of_output_are_cleaned_like_the_whole_but_for_lines_shown_early(raw: str, cuts: list[int]) -> None:
    seen: list[str] = []
    live = LiveCleaner(seen.append)
    edges = [0, *sorted(cuts), len(raw)]
    for start, end in pairwise(edges):
        live.feed(raw[start:end])
    live.finish()
    text = "".join(seen)
    assert "\x1b" not in text and "\r" not in text
    if "\r" not in raw:
        assert text == clean(raw)


def test_a_line_without_end_is_shown_at_once_and_held_only_so_far() -> None:
    seen: list[str] = []
    live = LiveCleaner(seen.append)
    live.feed("....")
    assert seen == ["...."]
    live.feed("\r" + "x" * 100_000)
    assert sum(map(len, seen)) >= 100_000


def test_a_long_text_is_cleaned_as_a_short_one() -> None:
    line = "\x1b[31mred\x1b[0m 10%\r20%\n\x1b]0;open\nx\by\u202e\r\n"
    assert clean(line * 20_000) == clean(line) * 20_000
    assert visible(line * 20_000) == visible(line) * 20_000


def test_what_vanishes_is_not_cleaned_for_ever() -> None:
    seen: list[str] = []
    live = LiveCleaner(seen.append)
    for _ in range(2_000):
        live.feed("\b" * 10_000)
    live.finish()
    assert "more output is not shown" in "".join(seen)
