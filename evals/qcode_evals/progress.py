"""What a run shows while it goes on: a live table on a terminal, one line an event elsewhere. All on stderr."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from qcode.ui.sanitize import visible
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.environment import Layer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_REASON_WIDTH = 160


class Progress(Protocol):
    """Told of everything that happens in a run; a context manager, so that the terminal is put back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def phase(self, instance_id: str, name: str) -> None:
        """An instance enters a phase: image, agent, grading."""
        ...

    def retry(self, instance_id: str, phase: str, why: str) -> None:
        """The infrastructure failed in a phase, which is done once more."""
        ...

    def build(self, layer: Layer, name: str, line: str) -> None:
        """A line of an image's build: see environment.OnBuild."""
        ...

    def done(self, attempt: Attempt, *, earlier: bool = False) -> None:
        """An attempt is finished, `earlier` by the run that this one resumes."""
        ...


def _one_line(text: str) -> str:
    line = visible(" ".join(text.split()))
    return line if len(line) <= _REASON_WIDTH else line[: _REASON_WIDTH - 1] + "…"


def describe(attempt: Attempt) -> str:
    """An attempt in one line, safe for a terminal."""
    seconds = attempt.seconds
    parts = [f"{attempt.instance_id} {attempt.outcome}"]
    parts.append(
        f"{seconds.total:.1f} s (image {seconds.image:.1f}, agent {seconds.agent:.1f}, tests {seconds.grading:.1f})"
    )
    if attempt.usage.requests:
        usage = attempt.usage
        parts.append(f"{usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens:,} tokens")
    if attempt.removed:
        parts.append("not graded: " + ", ".join(item.path for item in attempt.removed))
    if attempt.reason:
        parts.append(attempt.reason)
    return _one_line(" · ".join(parts))


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, total: int, *, verbose: bool = False, stream: TextIO | None = None) -> None:
        self._total = total
        self._verbose = verbose
        self._stream = stream or sys.stderr
        self._building: set[tuple[Layer, str]] = set()
        self._finished = 0
        self._resolved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def phase(self, instance_id: str, name: str) -> None:
        """Said only with `verbose`: the finished line has the time of every phase."""
        if self._verbose:
            self._say(f"{instance_id}: {name} …")

    def retry(self, instance_id: str, phase: str, why: str) -> None:
        """Always said: it is what is wrong with this machine."""
        self._say(_one_line(f"{instance_id}: {phase} failed, once more: {why}"))

    def build(self, layer: Layer, name: str, line: str) -> None:
        """That a build that may take a minute began is always said, the lines of all builds only with `verbose`."""
        if (layer, name) not in self._building and layer is not Layer.TREE:
            self._building.add((layer, name))
            self._say(f"making the image: {layer} for {name}")
        if self._verbose:
            self._say(_one_line(f"{layer} for {name}: {line}"))

    def done(self, attempt: Attempt, *, earlier: bool = False) -> None:
        """One line, with how many are finished and resolved so far."""
        self._finished += 1
        self._resolved += attempt.resolved
        note = "  (earlier)" if earlier else ""
        self._say(f"[{self._finished}/{self._total}, {self._resolved} resolved] {describe(attempt)}{note}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Table:
    """A live view: a bar of outcomes, what is running and for how long; finished attempts scroll past above it."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._outcomes: Counter[Outcome] = Counter()
        self._running: dict[str, tuple[str, float]] = {}
        self._last_line = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(stderr=True), get_renderable=self._render, refresh_per_second=4, transient=True
        )
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def phase(self, instance_id: str, name: str) -> None:
        """Show it among the running."""
        self._running[instance_id] = (name, time.monotonic())

    def retry(self, instance_id: str, phase: str, why: str) -> None:
        """Leave a line above the table."""
        self._print(_one_line(f"{instance_id}: {phase} failed, once more: {why}"), style="yellow")

    def build(self, layer: Layer, name: str, line: str) -> None:
        """Show the last line of the builds."""
        self._last_line = _one_line(f"{layer} for {name}: {line}")

    def done(self, attempt: Attempt, *, earlier: bool = False) -> None:
        """Count it, and leave its line above the table."""
        self._running.pop(attempt.instance_id, None)
        self._outcomes[attempt.outcome] += 1
        style = {Outcome.RESOLVED: "green", Outcome.INFRA_ERROR: "red"}.get(attempt.outcome, "")
        self._print(describe(attempt) + ("  (earlier)" if earlier else ""), style=style)

    def _print(self, line: str, *, style: str) -> None:
        from rich.text import Text

        assert self._live is not None, "used as a context manager"
        self._live.console.print(Text(line, style=style))

    def _render(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table as Grid
        from rich.text import Text

        finished = self._outcomes.total()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.most_common())
        grid = Grid.grid(padding=(0, 2))
        now = time.monotonic()
        for instance_id, (name, since) in sorted(self._running.items(), key=lambda entry: entry[1][1]):
            grid.add_row(Text(instance_id), Text(name), Text(f"{now - since:.0f} s", justify="right"))
        head = Grid.grid(padding=(0, 2))
        text = f"{finished} of {self._total} finished" + (f": {counts}" if counts else "")
        head.add_row(ProgressBar(total=self._total, completed=finished, width=30), Text(text))
        return Group(
            head,
            grid,
            Text(self._last_line if self._running else "", style="dim", overflow="ellipsis", no_wrap=True),
        )


def progress_for(total: int, *, verbose: bool = False) -> Progress:
    """The live table on a terminal, plain lines elsewhere or with `verbose`."""
    return Table(total) if sys.stderr.isatty() and not verbose else Lines(total, verbose=verbose)
