"""Going back: the work tree as it was before any step of a session, including what shell commands changed.

The tree is remembered by the sandbox (`Sandbox.snapshot`). Not brought back are ignored files, `.git`, and what was
changed outside the work tree.
"""

from dataclasses import dataclass

from qcode_sandbox.protocol import Sandbox
from qcode_tools.errors import ToolError

STEPS = 500
"""Moments that are remembered; of more, the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The tree before a step; `label` says to the user what the step was."""

    step: int
    label: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class Rewound:
    """The moment that was gone back to, and the paths that changed by it."""

    moment: Moment
    changed: tuple[str, ...]


class Checkpoints:
    """The moments of one session in one sandbox, for `/undo` and `/rewind`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._moments: list[Moment] = []
        self._left: list[tuple[str, list[Moment]]] = []

    @property
    def moments(self) -> tuple[Moment, ...]:
        """Where one can go back to, the oldest first."""
        return tuple(self._moments)

    async def mark(self, step: int, label: str = "") -> Moment:
        """Remember the tree as it is now, before step `step`. Raises: SandboxError."""
        moment = Moment(step, label, await self._sandbox.snapshot())
        earlier = [known for known in self._moments if known.step < step]
        self._moments = [*earlier[-STEPS + 1 :], moment]
        self._left.clear()
        return moment

    async def rewind(self, step: int) -> Rewound:
        """Bring back the tree as it was before step `step`. Raises: ToolError, SandboxError."""
        moment = next((known for known in self._moments if known.step == step), None)
        if moment is None:
            known = ", ".join(str(known.step) for known in self._moments[-10:]) or "none"
            raise ToolError(f"there is no moment before step {step} to go back to (known: {known})")
        return await self._back_to(moment)

    async def undo(self) -> Rewound:
        """Go back to before the last step that changed anything. Raises: ToolError, SandboxError."""
        now = await self._sandbox.snapshot()
        moment = next((known for known in reversed(self._moments) if known.snapshot != now), None)
        if moment is None:
            raise ToolError("nothing has changed since the start: there is nothing to take back")
        return await self._back_to(moment)

    async def redo(self) -> Rewound:
        """Take the last going back itself back. Raises: ToolError, SandboxError."""
        if not self._left:
            raise ToolError("nothing was taken back since the last step")
        snapshot, moments = self._left[-1]
        restored = await self._sandbox.restore(snapshot)
        self._left.pop()
        self._moments = moments
        return Rewound(Moment(moments[-1].step, moments[-1].label, snapshot), restored.changed)

    async def _back_to(self, moment: Moment) -> Rewound:
        restored = await self._sandbox.restore(moment.snapshot)
        self._left.append((restored.before, self._moments))
        self._moments = self._moments[: self._moments.index(moment) + 1]
        return Rewound(moment, restored.changed)
