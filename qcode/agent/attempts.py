"""Going back to where a failed change was not yet made, for models that copy their own mistakes.

What a small model has written wrongly stays in its prompt and is written again. So the conversation is taken back to
the last point where all was well, and one message says what was tried since. The prompt up to there stays evaluated.
"""

from qcode.messages import ToolCall
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect

_TOLD = 4
"""Attempts that are told of, the last ones."""

_WIDTH = 160


class Attempts:
    """The changes that failed since the history was last in order."""

    def __init__(self) -> None:
        self.kept = 0
        """Messages of the history that stay."""
        self._failed: list[str] = []
        self._over = False

    def settle(self, length: int) -> None:
        """All is well with the history as it is, of this many messages."""
        self.kept = length
        self._failed.clear()
        self._over = False

    def note(self, call: ToolCall, effect: Effect, result: ToolResult, length: int) -> None:
        """Take in the result of a call, after which the history has `length` messages."""
        if effect is not Effect.WRITE:
            return
        if result.status is Status.OK:
            self.settle(length)
            return
        self._failed.append(_told(call, result))
        self._over = True

    def broken(self) -> None:
        """An answer was so long that it was cut off."""
        self._over = True

    def over(self, hint: str) -> str | None:
        """The words to go on with from `kept` on, "" for none; None if there is no reason to go back."""
        if not self._over:
            return None
        self._over = False
        if not self._failed:
            return ""
        told = "\n".join(dict.fromkeys(self._failed[-_TOLD:]))
        return f"These changes were tried and taken back, because they did not solve it:\n{told}\n{hint}".rstrip()


def _told(call: ToolCall, result: ToolResult) -> str:
    old, new = (" ".join(str(call.arguments.get(name, "")).split()) for name in ("old_str", "new_str"))
    why = str(result.extra.get("why") or result.content.partition("\n")[0])
    what = f"`{old[:_WIDTH]}` changed to `{new[:_WIDTH]}`" if old else f"{call.name} {call.arguments.get('path', '')}"
    return f"- {what}: {why[:_WIDTH]}"
