"""Against values that were published, or that can be counted by hand."""

import itertools
from statistics import fmean

import pytest

from qcode_evals.statistics import (
    Paired,
    fewest_flips,
    paired,
    pass_at_k,
    pass_hat_k,
    score,
    smallest_difference,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3 (Wilson).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    estimate = wilson(successes, trials)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)


def test_wilson_of_nothing_knows_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize("resolved", range(6))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pass_at_k_and_pass_hat_k_count_the_draws(resolved: int, k: int) -> None:
    draws = list(itertools.combinations([True] * resolved + [False] * (5 - resolved), k))
    assert pass_at_k(5, resolved, k) == pytest.approx(fmean(any(draw) for draw in draws))
    assert pass_hat_k(5, resolved, k) == pytest.approx(fmean(all(draw) for draw in draws))


def test_mcnemar_is_a_coin_thrown_for_every_task_that_differs() -> None:
    assert Paired(0, 5, 9, 9).p_value == pytest.approx(2 / 32)
    assert Paired(0, 6, 0, 0).p_value == pytest.approx(2 / 64)
    assert Paired(2, 8, 1, 1).p_value == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert Paired(3, 3, 1, 1).p_value == 1.0
    assert Paired(0, 0, 4, 4).p_value == 1.0
    assert fewest_flips() == 6


def test_runs_are_compared_on_the_tasks_that_both_judged() -> None:
    result = paired({"a": True, "b": False, "c": True, "x": True}, {"a": True, "b": True, "c": False, "y": True})
    assert result == Paired(only_first=1, only_second=1, both=1, neither=0)
    assert result.tasks == 3


def test_attempts_at_one_task_are_no_tasks() -> None:
    once = score({str(n): [n < 8] for n in range(20)})
    again = score({str(n): [n < 8] * 10 for n in range(20)})
    assert once.value == pytest.approx(again.value) == pytest.approx(0.4)
    assert again.high - again.low > 0.35, "ten times the same says no more than once"
    flips = score({str(n): [(n + k) % 5 < 2 for k in range(10)] for n in range(20)})
    assert flips.value == pytest.approx(0.4)
    assert flips.high - flips.low < 0.2, "tasks that flip are worth more attempts"
    assert score({str(n): [True] * 5 for n in range(20)}).low < 0.9, "nobody resolves everything for sure"


def test_what_a_size_can_show() -> None:
    assert smallest_difference(5) is None
    sizes = [smallest_difference(tasks) for tasks in (20, 100, 500)]
    assert sizes == sorted(sizes, key=lambda value: -(value or 0))
    # Connor 1987: n = (1.96 sqrt(psi) + 0.842 sqrt(psi - d^2))^2 / d^2 with psi = 0.16, d = 0.05 gives 500.
    assert smallest_difference(500) == pytest.approx(0.05, abs=0.002)
