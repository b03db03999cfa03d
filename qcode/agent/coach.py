"""Words at the end of a result that say what comes next: a small model follows the last thing it has read."""

from dataclasses import dataclass

from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect


@dataclass(frozen=True, slots=True)
class Hints:
    """What is added after a kind of step; "" adds nothing. They stand at the end, so the prompt still only grows."""

    opening: str = ""
    after_reading: str = ""
    after_change: str = ""
    after_success: str = ""
    after_failure: str = ""

    def after(self, effect: Effect, result: ToolResult, *, untried: bool) -> str:
        """The hint for what comes after this result; one that is an error teaches by itself, unless a change was tried
        and taken back. While a change is `untried`, who looks at it is to try it, not to change it again."""
        if result.extra.get("tried"):
            return "" if result.extra["solved"] else self.after_failure
        if result.status is not Status.OK:
            return ""
        match effect:
            case Effect.WRITE:
                return self.after_change
            case Effect.EXEC:
                return self.after_failure if result.extra.get("exit_code") else self.after_success
            case Effect.READ:
                return self.after_change if untried else self.after_reading
