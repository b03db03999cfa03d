"""Going back to where a failed change was not yet made, for models that copy their own mistakes.

What a small model has written wrongly stays in its prompt and is written again, and so is a list of what failed. So the
conversation is taken back to the last point where all was well, and the model tries anew. The prompt up to there stays
evaluated.
"""

from qcode.model import Sampling
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect

_BOLDER, _BOLDEST = 0.15, 1.2
"""How much the temperature rises with each failed attempt, and to what at most."""
_ENOUGH = 8
"""Failed attempts in a row after which another one is not worth its tokens: half of them were made at the highest
temperature, and of the solutions that were seen to come at all none came later (docs/benchmarks.md)."""


class Attempts:
    """How far the history is in order, and what of that which follows has failed."""

    def __init__(self) -> None:
        self.kept = 0
        """Messages of the history that stay."""
        self._failed = False
        self._failures = 0

    @property
    def in_vain(self) -> bool:
        """So many failed, one after the other, that the next would too."""
        return self._failures >= _ENOUGH

    def settle(self, length: int) -> None:
        """All is well with the history as it is, of this many messages."""
        self.kept, self._failed, self._failures = length, False, 0

    def note(self, effect: Effect, result: ToolResult, length: int) -> None:
        """Take in the result of a call, after which the history has `length` messages."""
        if effect is not Effect.WRITE:
            return
        if result.status is Status.OK:
            self.settle(length)
        else:
            self._failed = True

    def broken(self) -> None:
        """An answer was so long that it was cut off."""
        self._failed = True

    def over(self) -> bool:
        """Whether to go back now; True once for what failed."""
        failed, self._failed = self._failed, False
        self._failures += failed
        return failed

    def bolder(self, sampling: Sampling) -> Sampling:
        """Hotter with each failure: from the same prompt, a model that is sure of a wrong answer gives it again."""
        if not self._failures or sampling.temperature is None:
            return sampling
        hotter = min(sampling.temperature + _BOLDER * self._failures, max(_BOLDEST, sampling.temperature))
        return sampling.model_copy(update={"temperature": round(hotter, 2)})
