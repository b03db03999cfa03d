"""Loop detection: the same call with the same result leads nowhere, nor does the same edit whatever its result."""

import hashlib
import json
from collections import Counter

from qcode.messages import ToolCall
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect

LIMIT = 3
NUDGE = "You made this very call before. Do not repeat it: do something else, or finish if nothing is left to do."


class Repetition:
    """Counts calls that brought the same result, and edits that were made before. A successful new edit makes looking
    and running worth it again."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._edits: Counter[str] = Counter()

    def note(self, call: ToolCall, result: ToolResult, effect: Effect) -> int:
        """How often this call brought this result, or was made at all if it edits; this time included."""
        edits = effect is Effect.WRITE
        outcome = () if edits else (result.status, result.content)
        key = hashlib.sha256(
            json.dumps([call.name, call.arguments, *outcome], sort_keys=True, default=str).encode()
        ).hexdigest()
        if edits:
            self._edits[key] += 1
            if self._edits[key] == 1 and result.status is Status.OK:
                self._seen.clear()
            return self._edits[key]
        self._seen[key] += 1
        return self._seen[key]
