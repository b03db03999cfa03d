"""What gold and the empty patch came to on this machine: whether a row tests anything here, and whether it flakes.

Every run of `--agent gold` and `--agent empty` adds to one file of the user's, by row and image, so that each later
score is shown beside it. A row whose own patch never resolves it, or that no patch resolves, is no task.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qcode.config.paths import state_dir
from qcode_evals.attempt import Attempt
from qcode_evals.environments.layers import instance_tag
from qcode_evals.running.results import writing
from qcode_evals.tasks.dataset import Instance

CONTROLS = ("gold", "empty")


@dataclass(slots=True)
class Control:
    """How often a control was tried on a row, and resolved it."""

    tried: int = 0
    resolved: int = 0


@dataclass(frozen=True, slots=True)
class RowControls:
    """Both controls of one row."""

    gold: Control
    empty: Control

    @property
    def invalid(self) -> str | None:
        """Why the row is no task here, or None."""
        if self.gold.tried and not self.gold.resolved:
            return f"its own patch resolved it in 0 of {self.gold.tried} runs here"
        if self.empty.resolved:
            return f"no patch resolved it in {self.empty.resolved} of {self.empty.tried} runs here"
        return None

    @property
    def flaky(self) -> bool:
        """Its own patch resolves it only sometimes."""
        return 0 < self.gold.resolved < self.gold.tried

    def __str__(self) -> str:
        return f"gold {self.gold.resolved}/{self.gold.tried}, empty {self.empty.resolved}/{self.empty.tried}"


class Controls:
    """The table of this machine."""

    def __init__(self, path: Path | None = None) -> None:
        """Read it; lines that cannot be read are passed over."""
        self._path = path or state_dir() / "evals" / "controls.jsonl"
        self._counts: defaultdict[tuple[str, str], Control] = defaultdict(Control)
        try:
            text = self._path.read_text(encoding="utf-8")
        except OSError:
            return
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._count(str(entry["row"]), str(entry["agent"]), resolved=bool(entry["resolved"]))
            except (ValueError, KeyError, TypeError):
                continue

    def _count(self, row: str, agent: str, *, resolved: bool) -> None:
        control = self._counts[row, agent]
        control.tried += 1
        control.resolved += resolved

    def add(self, instance: Instance, attempt: Attempt) -> None:
        """Write down what a control came to; anything else is ignored. Raises: ResultsError."""
        if attempt.agent not in CONTROLS or not attempt.outcome.counts:
            return
        row = _row(instance)
        entry = {"row": row, "instance_id": attempt.instance_id, "agent": attempt.agent, "resolved": attempt.resolved}
        with writing(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        self._count(row, attempt.agent, resolved=attempt.resolved)

    def of(self, instance: Instance) -> RowControls:
        """Both controls of a row, with zeros where they were never run."""
        row = _row(instance)
        return RowControls(*(self._counts.get((row, agent), Control()) for agent in CONTROLS))

    def summary(self, instances: Sequence[Instance]) -> str:
        """One line about a data set."""
        rows = [(instance.instance_id, self.of(instance)) for instance in instances]
        known = [row for _, row in rows if row.gold.tried]
        if not known:
            return "controls: gold was never run over these rows on this machine (--agent gold --repeat 5)"
        flaky = [name for name, row in rows if row.flaky]
        invalid = [name for name, row in rows if row.invalid]
        fewest = min(row.gold.tried for row in known)
        named = "".join(
            f"; {kind}: {', '.join(names[:9])}" for kind, names in (("flaky", flaky), ("no task", invalid)) if names
        )
        return (
            f"controls: gold at least {fewest} times on {len(known)} of {len(rows)} rows, {len(flaky)} flaky, "
            f"{len(invalid)} no task{named}"
        )


def _row(instance: Instance) -> str:
    return f"{instance.digest} {instance_tag(instance)}"
