"""Changes that attempts came to, what is known of each, and which of them is better."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qcode.app.attempts import AttemptJudged
from qcode.app.judging import TestResults
from qcode.app.patchtext import normalised, size
from qcode.app.probes import votes
from qcode.app.solve import Outcome
from qcode.events import Reason


@dataclass(frozen=True, slots=True)
class Candidate:
    """Attempts that came to the same change, the first standing for all, and what the tests said of it."""

    attempts: tuple[int, ...]
    outcome: Outcome
    applies: bool = True
    verified: bool | None = None
    broken: int = 0
    """Tests of the repository that passed before and do not now."""
    examples: tuple[int, int] = (0, 0)
    """Of the examples of the task: how many come out right, of how many."""
    reproduced: tuple[int, int] = (0, 0)
    """Of the tests that other attempts wrote: how many pass, of how many that count."""
    alike: float = 0.0
    """How many attempts give the same answers to calls like the examples, a mean over the calls."""

    @property
    def tested(self) -> tuple[object, ...]:
        """What tests say that every change is held to; larger is better."""
        return bool(self.outcome.patch), self.applies, self.verified is not False, -self.broken, self.examples[0]

    @property
    def rank(self) -> tuple[object, ...]:
        """Larger is better."""
        passed, of = self.reproduced
        share = (passed + 1) / (of + 2)  # half where no other attempt wrote a test, so that failing one is worse
        return (
            *self.tested, share, self.alike, len(self.attempts), self.outcome.reason is Reason.FINISHED,
            -size(self.outcome.patch), -self.attempts[0],
        )  # fmt: skip

    def better_than(self, other: "Candidate | None") -> str:
        """By what it was preferred to the next best, in words."""
        if other is None:
            return "all attempts came to the same" if len(self.attempts) > 1 else "it is the only change"
        reasons = (
            "the other changes nothing", "the other does not apply", "it passes the given command",
            "it breaks fewer of the repository's tests", "more examples of the task come out right",
            "it passes more of the other attempts' tests", "more attempts give the answers that it gives",
            "more attempts came to it", "it ended by itself", "it is the smaller change", "it came first",
        )  # fmt: skip
        pairs = zip(self.rank, other.rank, reasons, strict=True)
        return next(words for mine, others, words in pairs if mine != others)

    @property
    def judged(self) -> AttemptJudged:
        """As it is told."""
        return AttemptJudged(
            attempt=self.attempts[0], agreeing=self.attempts, applies=self.applies, verified=self.verified,
            broken=self.broken, examples=self.examples, reproduced=self.reproduced, alike=self.alike,
            changed_lines=size(self.outcome.patch),
        )  # fmt: skip


def grouped(ended: Mapping[int, Outcome]) -> list[Candidate]:
    """Attempts that came to the same change together; of them, one that ended by itself stands for all."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for number in sorted(ended):
        groups[normalised(ended[number].patch)].append(number)
    found = []
    for numbers in groups.values():
        numbers.sort(key=lambda number: (ended[number].reason is not Reason.FINISHED, number))
        found.append(Candidate(tuple(numbers), ended[numbers[0]]))
    return found


def weighed(changing: Sequence[Candidate], untouched: TestResults, tried: Sequence[TestResults]) -> list[Candidate]:
    """The candidates with what the tests said of each, and of the tree as it was."""
    good = _believed(changing, untouched, tried)
    told = max((results.right[1] for results in [untouched, *tried]), default=0)
    known = []
    for candidate, results in zip(changing, tried, strict=True):
        others = [key for key in good if key[0] not in candidate.attempts]
        known.append(
            replace(
                candidate,
                applies=results.applies,
                verified=results.verified,
                broken=len(untouched.passed - results.passed),
                examples=(results.right[0], told),
                reproduced=(sum(results.reproductions.get(key, False) for key in others), len(others)),
            )
        )
    # What already failed a test has no vote on what is right.
    best = max((candidate.tested for candidate in known), default=())
    voters = [number for number, candidate in enumerate(known) if candidate.tested == best]
    longest = max((len(tried[number].answers) for number in voters), default=0)
    answers = [tried[number].answers or (None,) * longest for number in voters]
    shares = votes(answers, [len(known[number].attempts) for number in voters])
    for number, share in zip(voters, shares, strict=True):
        known[number] = replace(known[number], alike=share)
    return known


def _believed(
    changing: Sequence[Candidate], untouched: TestResults, tried: Sequence[TestResults]
) -> list[tuple[int, str]]:
    """Tests that show the problem: they fail without any change, and pass with their author's."""
    return [
        key
        for candidate, results in zip(changing, tried, strict=True)
        for key, passes in results.reproductions.items()
        if key[0] in candidate.attempts and passes and not untouched.reproductions.get(key, False)
    ]
