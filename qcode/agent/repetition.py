"""Loop detection: the same call with the same result leads nowhere."""

import hashlib
import json
from collections import Counter

from qcode.messages import ToolCall
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect

LIMIT = 3
NUDGE = (
    "You made this very call before and got this very result. Do not repeat it: do something else, "
    "or finish if nothing is left to do."
)


class Repetition:
    """Counts calls that brought the same result. A successful new edit makes looking and running worth it again."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._edits: Counter[str] = Counter()

    def note(self, call: ToolCall, result: ToolResult, effect: Effect) -> int:
        """How often this call brought this result, this time included."""
        key = hashlib.sha256(
            json.dumps([call.name, call.arguments, result.status, result.content], sort_keys=True, default=str).encode()
        ).hexdigest()
        if effect is Effect.WRITE and result.status is Status.OK:
            self._edits[key] += 1
            if self._edits[key] == 1:
                self._seen.clear()
            return self._edits[key]
        self._seen[key] += 1
        return self._seen[key]
