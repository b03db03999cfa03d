"""Calls like the examples of a task, and what the answers to them say."""

import ast

import pytest

from qcode.agent.examples import Example
from qcode.app.probes import MOST, probes, votes


def sources(*examples: str) -> list[str]:
    return [probe.source for probe in probes(Example(source, None) for source in examples)]


def test_arguments_are_exchanged_between_examples_and_changed_a_little() -> None:
    found = sources("gcd(35, 21)", "gcd(3, 12)")
    assert {"gcd(35, 12)", "gcd(3, 21)", "gcd(36, 21)", "gcd(21, 35)"} <= set(found)
    assert not {"gcd(35, 21)", "gcd(3, 12)"} & set(found), "those are known"
    assert len(found) == len(set(found)) == MOST
    assert found == sources("gcd(35, 21)", "gcd(3, 12)"), "the same each time, for every change is asked them"


@pytest.mark.parametrize(
    ("example", "one"),
    [
        ("f('abc')", "f('bc')"),
        ("f([1, 2], key=True)", "f([2], key=True)"),
        ("f((1, 2))", "f((2, 1))"),
        ("f({'a': 1})", "f({'a': 2})"),
        ("pkg.f(1.5)", "pkg.f(2.0)"),
        ("f(True)", "f(False)"),
        ("f(a=1, b=5)", "f(a=2, b=5)"),
        ("sorted(f([2, 1], '%s'))", "sorted(f([1], '%s'))"),
    ],
)
def test_values_of_each_type_have_others_like_them(example: str, one: str) -> None:
    assert one in sources(example)


@pytest.mark.parametrize(
    "source", ["x", "f()", "f(x)", "f(*[1])", "x = f(1)", "f(", "f(" + "[" * 90 + "]" * 90 + ")", "f(1)" * 600]
)
def test_what_is_no_call_with_values_gives_none_or_only_calls(source: str) -> None:
    for found in sources(source):
        ast.parse(found, mode="eval")
    assert sources(source) == [] or source.startswith("f([[")


def test_each_example_has_its_turn() -> None:
    found = sources("f([1, 2, 3, 4, 5, 6, 7, 8, 9])", "g(7)")
    assert any(source.startswith("g(") for source in found[:4])


def test_an_answer_has_the_votes_of_those_who_give_it() -> None:
    assert votes([["5", "6"], ["5", "7"], ["5", "7"]], [1, 1, 2]) == [1.0, 3.0, 3.0], "where all agree nothing is told"
    assert votes([["1"], [None], ["2"]], [1, 1, 1]) == [1.0, 0.0, 1.0], "a failure is no answer"
    assert votes([["1"], [None], [None]], [1, 1, 1]) == [0.0, 0.0, 0.0], "what most cannot answer is not asked"
    assert votes([[], []], [1, 1]) == [0.0, 0.0]
