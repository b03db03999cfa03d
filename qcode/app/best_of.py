"""Several attempts at one task at once, and the best of them, chosen by tests.

In this order: the user's command; the repository's tests that passed before; the examples of the task; tests that
attempts wrote, run against the others, which count if they fail without any change and pass with their author's; how
many attempts give the same answers to calls like the examples, and how many came to the same change; whether the
attempt ended by itself; the smaller change. Each attempt has a sandbox, each judging too. When with the changes of more
than half of them all examples of the task come out right, and no command is given, the others are stopped.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from qcode.app.attempts import AttemptChosen, AttemptEnded, AttemptEvent
from qcode.app.candidates import Candidate, grouped, weighed
from qcode.app.judging import Examination, Examples, TestResults
from qcode.app.patchtext import new_tests, normalised, size
from qcode.app.pool import Pool
from qcode.app.solve import Outcome, Solve
from qcode.app.stream import stream
from qcode.config.paths import cache_dir
from qcode.errors import QcodeError
from qcode.events import Event, Reason, ToolFinished
from qcode.messages import Usage
from qcode_sandbox.errors import SandboxError, SandboxFileError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.toolsets import build_toolset

TEST_SECONDS = 600.0
"""For each command that judges an attempt."""

MOST_SLOTS = 4
"""Answers that the in-process engine writes at once: each slot needs memory for a whole window."""

_STOPPED = "stopped, for more than half of the attempts have made all examples come out right"

Watch = Callable[[int, Event], None]
"""Told every event of every attempt; attempts count from 0."""


class NotVerified(QcodeError):
    """For the user: the command that was to judge the change says no."""


def _unwatched(attempt: int, event: Event) -> None:
    del attempt, event


@dataclass
class BestOf:
    """Attempts at one task. Iterate `events()` to its end (or close it); then `outcome` is set, and `choice`."""

    attempts: Sequence[Solve]
    verify: str | None = None
    watch: Watch = _unwatched
    at_once: int | None = None
    """Sandboxes that judge at a time; None is as many as attempts."""
    outcome: Outcome | None = field(default=None, init=False)
    choice: AttemptChosen | None = field(default=None, init=False)
    _solved: set[int] = field(default_factory=set, init=False)
    _stopped: set[int] = field(default_factory=set, init=False)

    def events(self) -> AsyncGenerator[AttemptEvent, None]:
        """How each attempt ended, what tests said of it, and which was chosen. Raises: SessionError."""
        return stream(self._work)

    async def _work(self, emit: Callable[[AttemptEvent], None]) -> None:
        ended: dict[int, Outcome] = {}
        try:
            async with Pool(self.attempts[0].open_sandbox) as pool:
                await self._all(emit, ended, pool)
                candidates = await self._judged(grouped(ended), emit, pool)
        except asyncio.CancelledError:
            if ended:
                self._choose(grouped(ended), ended, emit)
                assert self.outcome is not None
                self.outcome = replace(self.outcome, reason=Reason.INTERRUPTED, error=asyncio.CancelledError())
            raise
        self._choose(candidates, ended, emit)

    async def _all(self, emit: Callable[[AttemptEvent], None], ended: dict[int, Outcome], pool: Pool) -> None:
        prepared = 0

        async def attempt(number: int) -> None:
            nonlocal prepared
            try:
                await self._attempt(number, emit, ended)
            except asyncio.CancelledError:
                if number in self._stopped:
                    return
                raise
            # Its sandbox is gone, so there is room for one that will judge when the last attempt has ended.
            wanted = self._foreseen(ended)
            pool.prepare(max(0, wanted - prepared))
            prepared = max(prepared, wanted)
            if not self._stopped and self._enough(ended):
                # Once only: a second time would break off how it ends its sandbox.
                running = [other for other, task in enumerate(tasks) if other != number and not task.done()]
                self._stopped.update(running)
                for other in running:
                    tasks[other].cancel()

        tasks = [asyncio.ensure_future(attempt(number)) for number in range(len(self.attempts))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _enough(self, ended: dict[int, Outcome]) -> bool:
        """Whether what still runs could hardly change the choice."""
        good = [number for number in self._solved & ended.keys() if ended[number].reason is Reason.FINISHED]
        return self.verify is None and 2 * len(good) > len(self.attempts)

    async def _attempt(self, number: int, emit: Callable[[AttemptEvent], None], ended: dict[int, Outcome]) -> None:
        solve = self.attempts[number]
        try:
            async with aclosing(solve.events()) as events:
                async for event in events:
                    self.watch(number, event)
                    if isinstance(event, ToolFinished) and "solved" in event.result.extra:
                        (self._solved.add if event.result.extra["solved"] else self._solved.discard)(number)
        finally:
            if (outcome := solve.outcome) is not None:
                stopped = number in self._stopped and outcome.reason is Reason.INTERRUPTED
                # A change that was stopped half-way is no candidate.
                ended[number] = replace(outcome, patch="") if stopped else outcome
                emit(
                    AttemptEnded(
                        attempt=number,
                        reason=outcome.reason,
                        steps=outcome.steps,
                        changed_lines=size(outcome.patch),
                        seconds=outcome.seconds,
                        session=str(outcome.session),
                        error=_STOPPED if stopped else str(outcome.error) if outcome.error is not None else None,
                        patch=outcome.patch,
                    )
                )

    def _foreseen(self, ended: dict[int, Outcome]) -> int:
        """How many sandboxes will judge, as far as can be told: for each change so far, one more that an attempt may
        come to, and the tree as it is."""
        changes = {normalised(outcome.patch) for outcome in ended.values() if outcome.patch}
        running = len(self.attempts) - len(ended)
        compare = len(changes) + min(running, 1) > 1
        if not running or not changes or not (compare or self.verify is not None):
            return 0
        return min(len(changes) + 1 + compare, self.at_once or len(self.attempts) + 1)

    async def _judged(
        self, candidates: list[Candidate], emit: Callable[[AttemptEvent], None], pool: Pool
    ) -> list[Candidate]:
        """The same with what tests say; nothing is run where there is nothing to choose and nothing to verify."""
        changing = [candidate for candidate in candidates if candidate.outcome.patch]
        if not changing or (len(changing) == 1 and self.verify is None):
            return candidates
        compare = len(changing) > 1
        written = {
            (number, path): text
            for candidate in changing
            for number in candidate.attempts
            for path, text in new_tests(self._patch_of(number)).items()
        } if compare else {}  # fmt: skip
        examples = Examples() if compare else None
        examination = Examination(self.verify, written, TEST_SECONDS, examples)
        room = asyncio.Semaphore(self.at_once or len(self.attempts))
        untouched, *tried = await asyncio.gather(
            self._untouched(replace(examination, verify=None), room, pool) if compare else _nothing(),
            *(self._examine(examination, candidate.outcome.patch, room, pool) for candidate in changing),
        )
        judged = weighed(changing, untouched, tried)
        for candidate in judged:
            emit(candidate.judged)
        return judged + [candidate for candidate in candidates if not candidate.outcome.patch]

    async def _untouched(self, examination: Examination, room: asyncio.Semaphore, pool: Pool) -> TestResults:
        """The tree as it is; its sandbox is the first to be opened, for the others wait for the examples in it."""
        examples = examination.examples
        assert examples is not None, "there is something to compare"
        task = self.attempts[0].task
        try:
            return await self._examine(examination, "", room, pool, lambda sandbox: examples.find(task, sandbox))
        finally:
            examples.none()

    async def _examine(
        self,
        examination: Examination,
        patch: str,
        room: asyncio.Semaphore,
        pool: Pool,
        first: Callable[[Sandbox], Awaitable[None]] | None = None,
    ) -> TestResults:
        """In a fresh sandbox; one that fails says nothing against the change."""
        try:
            async with room, pool.take() as sandbox:
                if first is not None:
                    await first(sandbox)
                return await examination.of(patch, sandbox, own_tests=len(self.attempts) > 1)
        except (SandboxError, SandboxFileError):
            return TestResults(verified=None if examination.verify is None else False)

    def _choose(
        self, candidates: list[Candidate], ended: dict[int, Outcome], emit: Callable[[AttemptEvent], None]
    ) -> None:
        best, *rest = sorted(candidates, key=lambda candidate: candidate.rank, reverse=True)
        why = best.better_than(rest[0] if rest else None)
        self.choice = AttemptChosen(
            attempt=best.attempts[0], why=why, of=len(self.attempts), agreeing=best.attempts, verified=best.verified
        )
        emit(self.choice)
        outcome = replace(
            best.outcome,
            steps=sum(one.steps for one in ended.values()),
            usage=sum((one.usage for one in ended.values()), Usage()),
            seconds=max(one.seconds for one in ended.values()),
        )
        if best.verified is False and outcome.error is None:
            words = f"the chosen change does not pass the given command: {self.verify}"
            outcome = replace(outcome, reason=Reason.ERROR, error=NotVerified(words))
        self.outcome = outcome

    def _patch_of(self, number: int) -> str:
        outcome = self.attempts[number].outcome
        return outcome.patch if outcome is not None else ""


def best_of(solve: Solve, attempts: int, *, verify: str | None, watch: Watch = _unwatched) -> BestOf:
    """So many attempts like one, on its backend. Where sampling is repeatable, each has a seed of its own."""
    seed = solve.sampling.seed

    def attempt(number: int) -> Solve:
        # A toolset knows what its session has seen and changed, and which servers it has.
        toolset = build_toolset(solve.profile.toolset, cache=cache_dir())
        sampling = solve.sampling if seed is None else solve.sampling.model_copy(update={"seed": seed + number})
        return replace(solve, toolset=toolset, sampling=sampling)

    copies = [attempt(number) for number in range(attempts)]
    return BestOf(copies, verify, watch)


async def _nothing() -> TestResults:
    return TestResults()
