"""A short run of `make fuzz`, and the answers that once were read wrongly, in every dialect and cut in many ways."""

import random

import pytest
from codec_fuzz import CORPUS, check, corpus, run

from qcode.codec import Dialect, ThinkingMode


def test_made_answers_hold_what_every_answer_holds() -> None:
    assert run(range(1500), corpus(), lambda seed, parsed: None) == 0


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.txt")), ids=lambda path: path.stem)
def test_each_answer_of_the_corpus_and_each_of_its_beginnings(path) -> None:
    text = path.read_bytes().decode()
    chance = random.Random(path.stem)
    for dialect in Dialect:
        for thinking in (ThinkingMode.TEXT, ThinkingMode.IN_TAGS, ThinkingMode.BEGUN):
            check(text, chance, dialect=dialect, thinking=thinking)
        for length in range(len(text)):
            check(text[:length], chance, dialect=dialect, thinking=ThinkingMode.TEXT)
