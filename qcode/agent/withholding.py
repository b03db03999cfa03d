"""Which tools a constrained engine does not even offer now."""

from collections.abc import Sequence

from qcode.agent.finish import FinishCheck
from qcode.agent.quoting import Quotes
from qcode_tools.spec import Effect, ToolSpec


def withheld(check: FinishCheck, quotes: Quotes, specs: Sequence[ToolSpec], *, question: bool) -> frozenset[str]:
    """Names of tools that make no sense now: ending, but also anything but a change where the code was shown, and after
    a change another one before it was tried. To a `question` what only looks is left."""
    edits = frozenset(spec.name for spec in specs if spec.effect is Effect.WRITE)
    ends = frozenset(spec.name for spec in specs if spec.ends_turn)
    if question:
        return ends | edits
    if not check.withhold():
        return frozenset()
    return ends | (edits if check.changed else quotes.instead(specs))
