"""From the attempts of a run to its score: what counts, what it cost, and how sure it is."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from qcode.messages import Usage
from qcode_evals import statistics
from qcode_evals.attempt import Attempt, Evidence, Outcome
from qcode_evals.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Price:
    """Money for a million tokens: read, read from the cache, written. The currency is the user's."""

    read: float
    cached: float
    written: float

    def of(self, usage: Usage) -> float:
        """What a usage costs."""
        read = usage.prompt_tokens - usage.cached_tokens
        parts = (read * self.read, usage.cached_tokens * self.cached, usage.completion_tokens * self.written)
        return sum(parts) / 1e6


@dataclass(frozen=True, slots=True)
class Score:
    """What a run came to. Attempts that the infrastructure or the row spoilt are in `outcomes` and nowhere else."""

    outcomes: Counter[Outcome]
    tries: dict[str, list[bool]]
    usage: Usage
    seconds: dict[str, float]
    attempts: int
    by_log: int
    """Attempts that were found resolved by log and exit code alone."""

    @property
    def resolved(self) -> int:
        """Attempts that resolved their task."""
        return self.outcomes[Outcome.RESOLVED]

    @property
    def judged(self) -> int:
        """Attempts that count."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.counts)

    @property
    def pass_at_1(self) -> Estimate:
        """Share of tasks that one attempt resolves."""
        return statistics.score(self.tries)

    @property
    def repeats(self) -> int:
        """How often each task was tried at least."""
        return min((len(results) for results in self.tries.values()), default=0)

    def pass_at(self, k: int) -> float:
        """Share of tasks that the best of k attempts resolves."""
        return fmean(statistics.pass_at_k(len(r), sum(r), k) for r in self.tries.values())

    def pass_hat(self, k: int) -> float:
        """Share of tasks that all of k attempts resolve."""
        return fmean(statistics.pass_hat_k(len(r), sum(r), k) for r in self.tries.values())


def score(attempts: Iterable[Attempt]) -> Score:
    """Sum up a run's attempts."""
    outcomes: Counter[Outcome] = Counter()
    tries: defaultdict[str, list[bool]] = defaultdict(list)
    usage, number = Usage(), 0
    seconds: Counter[str] = Counter()
    by_log = 0
    for attempt in attempts:
        number += 1
        by_log += attempt.resolved and attempt.evidence is Evidence.LOG
        outcomes[attempt.outcome] += 1
        usage += attempt.usage
        seconds.update(attempt.seconds.model_dump())
        if attempt.outcome.counts:
            tries[attempt.instance_id].append(attempt.resolved)
    return Score(outcomes, dict(tries), usage, dict(seconds), number, by_log)


def mixed(attempts: Iterable[Attempt]) -> str:
    """A line if the attempts of a folder are not of one run, else "": what was begun anew there is not finished."""
    found = Counter(attempt.settings for attempt in attempts if attempt.settings)
    if len(found) < 2:
        return ""
    counts = " and ".join(map(str, sorted(found.values(), reverse=True)))
    return (
        f"not one run: {counts} attempts were made with different settings (agent, model, tools, sampling, limits or "
        "version); --resume makes them alike"
    )


def summary(attempts: Sequence[Attempt], *, price: Price | None = None) -> list[str]:
    """The score for people: one line a fact, each share with its own denominator."""
    total = score(attempts)
    own = total.judged
    lines = [f"{total.resolved} of {own} resolved" + (f": {total.pass_at_1}" if own else "")]
    lines += filter(None, [mixed(attempts)])
    if total.repeats > 1:
        ks = sorted({2, 3, 5, total.repeats} & set(range(2, total.repeats + 1)))
        lines.append(
            f"of {total.repeats} attempts each: "
            + ", ".join(f"pass@{k} {total.pass_at(k):.1%}, pass^{k} {total.pass_hat(k):.1%}" for k in ks)
        )
    lines.append(
        "outcomes: "
        + ", ".join(
            f"{count} of {own if outcome.counts else total.attempts} {outcome}"
            for outcome, count in total.outcomes.most_common()
        )
    )
    if total.by_log:
        lines.append(
            f"evidence: {total.by_log} of {total.resolved} resolved rest on log and exit code alone, since no witness "
            "speaks their language: a patch that is written to deceive could forge these"
        )
    lines += _spent(total, price)
    return lines


def about(usage: Usage) -> str:
    """What to say before the tokens read, where of some requests it is not known what was read and what was cached."""
    return "about " if usage.cache_untold else ""


def _spent(total: Score, price: Price | None) -> list[str]:
    usage, seconds = total.usage, total.seconds
    lines = []
    if usage.requests:
        read = usage.prompt_tokens - usage.cached_tokens
        rates = [
            f"{count / spent:,.0f} tokens/s {name}"
            for name, count, spent in (
                ("read", 0 if usage.cache_untold else read, seconds["prefill"]),
                ("written", usage.completion_tokens, seconds["decode"]),
            )
            if spent > 0 and count
        ]
        lines.append(
            f"tokens: {about(usage)}{read:,} read, {usage.cached_tokens:,} cached, "
            f"{usage.completion_tokens:,} written, in {usage.requests:,} requests"
            + "".join(f"; {rate}" for rate in rates)
        )
        if usage.cache_untold:
            lines.append(f"of {usage.cache_untold:,} requests, as of those broken off, it was not told what was cached")
        if price is not None:
            lines.append(
                f"cost: {price.of(usage):,.4f}, {price.of(usage) / max(total.resolved, 1):,.4f} a resolved task"
            )
    phases = ("image", "agent", "grading")
    parts = ", ".join(f"{name} {seconds.get(name, 0.0):,.1f}" for name in phases)
    inner = ", ".join(f"{name} {seconds[name]:,.1f}" for name in ("prefill", "decode", "tools") if seconds.get(name))
    lines.append(f"seconds: {parts}" + (f" (of the agent's: {inner})" if inner else ""))
    return lines
