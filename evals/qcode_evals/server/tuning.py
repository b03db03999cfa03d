"""How many requests a server is given at a time, found while it works: never more than the run could send.

It begins with a few and grows by half as long as all of them are used. Three things hold it back:
- a refusal ("later": 429, 503) says that the server takes no more than the others that are with it; one burst of them
  takes at most half away, and from then on the number grows by one at a time;
- a queue that the server tells of (see `queues`) says how many of ours it works on: a few more than those are enough;
- where it tells none, what is done in a second: when more requests got less done, it goes back to the number that got
  most done and looks whether that is still better (prompts grow in a run, so that everything gets slower anyway).

After that it waits some rounds before it tries more, in smaller steps.
"""

import time
from collections.abc import Callable

from qcode.messages import Usage

FIRST = 8
"""Requests at a time to begin with."""
ROUND = 8
"""Answers at least after which it is judged how a number does."""
GAIN = 1.15
"""What is done in a second differs by chance; a number is better where it is by so much."""
HOLD = 4
"""Rounds until more are tried again after it was held back."""
FULL = 0.75
"""Share of a round's time in which the number has to be used up, or it says nothing."""
READ_SHARE = 1 / 8
"""What reading a token costs, of writing one, in a server that batches; it need not be exact."""


def work_of(usage: Usage) -> float:
    """What an answer was for the server, in written tokens."""
    return max(1.0, usage.completion_tokens + READ_SHARE * (usage.prompt_tokens - usage.cached_tokens))


class Tuner:
    """The number is `limit`; `why` says what held it back, "" while nothing did. `answers` came in all, `clock` gives
    seconds."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.limit = min(most, FIRST)
        self.why = ""
        self.answers = 0
        self._clock = clock
        self._growth = 0.5
        self._hold = 0
        self._queue_told = self._queued = False
        self._best: tuple[float, int] | None = None
        self._compared: tuple[float, int] | None = None
        self._cut_at, self._floor = float("-inf"), 1
        self._in_flight, self._changed_at = 0, clock()
        self._begin_round()

    def now(self, in_flight: int) -> None:
        """So many are with the server from now on."""
        now = self._clock()
        if self._in_flight >= self.limit:
            self._full_s += now - self._changed_at
        self._in_flight, self._changed_at = in_flight, now

    def answered(self, work: float) -> None:
        """One answer came to its end."""
        self.answers += 1
        self._work += work
        if self.answers - self._before < max(ROUND, 2 * self.limit):
            return
        self.now(self._in_flight)
        seconds = max(self._clock() - self._began, 1e-9)
        rate, used = self._work / seconds, self._full_s / seconds >= FULL
        self._begin_round()
        if used:
            self._judge(rate)

    def refused(self, *, others: int, begun: float) -> None:
        """The server said "later" to a request that was begun then, while `others` were with it."""
        if begun >= self._cut_at:
            self._floor = max(1, self.limit // 2)
            self._cut_at = self._clock()
        self._hold_back(max(self._floor, min(self.limit, others)), "it refused more")
        self._growth = 0.0

    def queue(self, running: int, waiting: int) -> None:
        """What the server says of the requests of all its clients."""
        self._queue_told = True
        self._compared = None
        # Of ours at least those wait that are more than it works on.
        self._queued = waiting > 0 and self._in_flight > running
        if self._queued:
            enough = max(1, running + 1 + running // 8)
            if enough < self.limit:
                self._hold_back(enough, "more waited in its queue")

    def _judge(self, rate: float) -> None:
        if self._compared is not None:
            (more_rate, more), self._compared = self._compared, None
            if rate < more_rate * GAIN:
                self._best, self.limit = (more_rate, more), more
            else:
                self._hold_back(self.limit, "more got less done")
                self._best = (rate, self.limit)
            return
        if self._best is None or rate >= self._best[0] or self.limit <= self._best[1]:
            self._best = (rate, self.limit)
        elif rate * GAIN < self._best[0] and not self._queue_told:
            self._compared, self.limit = (rate, self.limit), self._best[1]
            return
        if self._hold:
            self._hold -= 1
        elif not self._queued:
            self.limit = min(self.most, self.limit + max(1, int(self.limit * self._growth)))

    def _hold_back(self, limit: int, why: str) -> None:
        self.limit, self.why = limit, why
        self._growth, self._hold, self._best, self._compared = min(self._growth, 0.25), HOLD, None, None
        self._begin_round()

    def _begin_round(self) -> None:
        self._began = self._changed_at = self._clock()
        self._before, self._work, self._full_s = self.answers, 0.0, 0.0
