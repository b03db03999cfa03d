"""What a number of resolved tasks says: intervals, paired comparisons, and what a run of a size can show at all.

Sources: Wilson 1927 (interval); McNemar 1947 in its exact binomial form; Chen et al. 2021, arXiv:2107.03374 (pass@k);
Yao et al. 2024, arXiv:2406.12045 (pass^k); Miller 2024, arXiv:2411.00640 (attempts clustered by task); Connor 1987,
Biometrics 43 (power of the paired comparison); Agresti and Min 2005, Statistics in Medicine 24 (its interval).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

CONFIDENCE = 0.95
POWER = 0.8
FLIPS = 0.16
"""Share of tasks on which two runs of one agent differ, as published for 3 runs over 500 tasks (Qwen Code, 2026)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share of 1 with its interval of 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} (95 % interval {self.low:.1%} to {self.high:.1%})"


def _z(confidence: float = CONFIDENCE) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(successes: float, trials: float) -> Estimate:
    """Share of successes with Wilson's score interval; nothing is known of no trials."""
    if trials == 0:
        return Estimate(0.0, 0.0, 1.0)
    share, z2 = successes / trials, _z() ** 2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _z() / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def pass_at_k(tries: int, resolved: int, k: int) -> float:
    """Chance that one of k attempts, drawn from `tries` of which some resolved the task, does. Needs tries >= k."""
    return 1 - math.comb(tries - resolved, k) / math.comb(tries, k)


def pass_hat_k(tries: int, resolved: int, k: int) -> float:
    """Chance that all of k attempts resolve the task."""
    return math.comb(resolved, k) / math.comb(tries, k)


def clustered(rates: Sequence[float], attempts: int) -> Estimate:
    """Mean over tasks of which each was tried several times: Wilson's interval for as many attempts as the spread
    between tasks is worth, and so an honest one also where all or none were resolved."""
    if len(rates) < 2:
        return wilson(sum(rates), len(rates))
    mean, spread = fmean(rates), variance(rates)
    if not 0 < mean < 1:
        return wilson(sum(rates), len(rates))
    worth = min(mean * (1 - mean) * len(rates) / spread, attempts) if spread else attempts
    return wilson(mean * worth, worth)


def score(tries: Mapping[str, Sequence[bool]]) -> Estimate:
    """pass@1 over tasks: Wilson's interval when each was tried once, the clustered one otherwise."""
    if all(len(results) == 1 for results in tries.values()):
        return wilson(sum(results[0] for results in tries.values()), len(tries))
    return clustered([fmean(results) for results in tries.values()], sum(map(len, tries.values())))


@dataclass(frozen=True, slots=True)
class Paired:
    """Two runs on the tasks that both judged: how many only the first resolved, only the second, both, neither."""

    only_first: int
    only_second: int
    both: int
    neither: int

    @property
    def tasks(self) -> int:
        """Tasks that are compared."""
        return self.only_first + self.only_second + self.both + self.neither

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided: how likely at least this uneven a split is between equal agents."""
        differing, fewer = self.only_first + self.only_second, min(self.only_first, self.only_second)
        tail = sum(math.comb(differing, count) for count in range(fewer + 1))
        return min(1.0, 2 * tail * 0.5**differing)

    @property
    def difference(self) -> Estimate:
        """Second minus first, as a share of the tasks; the interval is Agresti and Min's, which adds two tasks and so
        says something also when no task differs."""
        if self.tasks == 0:
            return Estimate(0.0, -1.0, 1.0)
        gained, lost, tasks = self.only_second + 0.5, self.only_first + 0.5, self.tasks + 2
        middle = (gained - lost) / tasks
        half = _z() * math.sqrt((gained + lost) / tasks - middle**2) / math.sqrt(tasks)
        difference = (self.only_second - self.only_first) / self.tasks
        return Estimate(difference, max(-1.0, middle - half), min(1.0, middle + half))


def paired(first: Mapping[str, bool], second: Mapping[str, bool]) -> Paired:
    """Compare two runs task by task."""
    counts = {(a, b): 0 for a in (True, False) for b in (True, False)}
    for name in first.keys() & second.keys():
        counts[first[name], second[name]] += 1
    return Paired(counts[True, False], counts[False, True], counts[True, True], counts[False, False])


def smallest_difference(tasks: int, *, flips: float = FLIPS) -> float | None:
    """The least difference between two agents, as a share of 1, that a paired comparison over so many tasks finds at
    5 % in 80 of 100 cases, if `flips` of the tasks differ between two runs anyway. None if no difference is enough."""
    z_level, z_power = _z(), NormalDist().inv_cdf(POWER)
    least = math.ceil(1000 * fewest_flips() / max(tasks, 1))
    for points in range(least, 1001):
        difference = points / 1000
        differing = max(flips, difference)
        spread = math.sqrt(max(0.0, differing - difference**2))
        if difference * math.sqrt(tasks) >= z_level * math.sqrt(differing) + z_power * spread:
            return difference
    return None


def fewest_flips() -> int:
    """How many tasks must differ, all in favour of one agent, before McNemar's exact test says anything at 5 %."""
    return next(count for count in range(1, 99) if Paired(0, count, 0, 0).p_value < 1 - CONFIDENCE)
