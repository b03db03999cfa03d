"""When the model says that it is done: is it? Each objection is made once; a model that is right gets through."""

from collections import Counter

from qcode.messages import Assistant, Stop
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect

NOTHING_CHANGED = "No file has been changed yet. If the task asks for a change, make it now; if not, finish again."
NOT_TRIED = (
    "You changed files and have not run anything since. Run the tests to see that the change works; then finish."
)
NO_CALL = "You said what to do but called no tool. Call one now, in the form shown above."
EMPTY = "Your answer was empty. Call a tool, or say in a sentence that the task is done."


CUT_OFF = "Your answer was cut off at the length limit. Be shorter, and go on with a tool call."

PATIENCE = 4
"""Answers for which finishing is withheld, for one reason."""


def reminder(answer: Assistant, *, must_call: bool) -> str | None:
    """What an answer without a call needs, unless it is a plain last word."""
    if answer.problems:
        return "\n".join(answer.problems)
    if answer.stop is Stop.LENGTH:
        return CUT_OFF
    if not answer.text.strip():
        return EMPTY
    return NO_CALL if must_call else None


class FinishCheck:
    """Watches what was done in a turn. A thorough one objects to finishing without a change, or untried."""

    def __init__(self, *, thorough: bool) -> None:
        self._thorough = thorough
        self.changed = False
        """Whether a file was changed."""
        self.untried = False
        """Whether nothing was run since."""
        self._said: set[str] = set()
        self._withheld: Counter[str] = Counter()

    def note(self, effect: Effect, result: ToolResult) -> None:
        """Take in the result of a call."""
        if effect is Effect.WRITE and result.status is Status.OK:
            self.changed, self.untried = True, not result.extra.get("tried")
        if effect is Effect.EXEC and result.status is not Status.DENIED:
            self.untried = False

    def objection(self) -> str | None:
        """What speaks against finishing now, in words for the model; None if nothing does, or it was said before."""
        words = self._why_not()
        if words is None or words in self._said:
            return None
        self._said.add(words)
        return words

    def withhold(self) -> bool:
        """Whether a constrained engine should not even offer to finish. Not for ever: the check can be wrong."""
        words = self._why_not()
        if words is None or self._withheld[words] >= PATIENCE:
            return False
        self._withheld[words] += 1
        return True

    def _why_not(self) -> str | None:
        if not self._thorough:
            return None
        return NOTHING_CHANGED if not self.changed else NOT_TRIED if self.untried else None
