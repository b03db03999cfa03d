"""What a run shows while it goes on: a live table on a terminal, one line an event elsewhere. All on stderr."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from qcode.ui.sanitize import visible
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.environments.images import Layer
from qcode_evals.failures import cause
from qcode_evals.running.making import title
from qcode_evals.statistics import wilson

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_REASON_WIDTH = 160
_PHASES = ("image", "agent", "grading")
_SHOWN = 10
"""Running attempts that the table shows, longest first."""


class Progress(Protocol):
    """Told of everything that happens in a run; a context manager, so that the terminal is put back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def phase(self, attempt: str, name: str) -> None:
        """An attempt enters a phase: image, agent, grading."""
        ...

    def retry(self, attempt: str, phase: str, why: str) -> None:
        """The infrastructure failed in a phase, which is done once more."""
        ...

    def build(self, layer: Layer, name: str, line: str) -> None:
        """A line of an image's build: see environment.OnBuild."""
        ...

    def note(self, line: str) -> None:
        """Something about this machine that the user should know, such as an image that was removed."""
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
    parts = [f"{title(attempt.instance_id, attempt.repeat)} {attempt.outcome}"]
    parts.append(
        f"{seconds.total:.1f} s (image {seconds.image:.1f}, agent {seconds.agent:.1f}, tests {seconds.grading:.1f})"
    )
    if attempt.usage.requests:
        usage = attempt.usage
        parts.append(f"{usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens:,} tokens")
    if attempt.removed:
        parts.append("not graded: " + ", ".join(item.path for item in attempt.removed))
    if attempt.reason:
        parts.append(cause(attempt.reason))
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

    def phase(self, attempt: str, name: str) -> None:
        """Said only with `verbose`: the finished line has the time of every phase."""
        if self._verbose:
            self._say(f"{attempt}: {name} …")

    def retry(self, attempt: str, phase: str, why: str) -> None:
        """Always said: it is what is wrong with this machine."""
        self._say(_one_line(f"{attempt}: {phase} failed, once more: {cause(why)}"))

    def note(self, line: str) -> None:
        """Always said."""
        self._say(_one_line(line))

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
        self._running: dict[str, tuple[str, float, float]] = {}
        """Phase, when it began, when the attempt began."""
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

    def phase(self, attempt: str, name: str) -> None:
        """Show it among the running."""
        since = self._running.get(attempt, ("", 0.0, time.monotonic()))[2]
        self._running[attempt] = (name, time.monotonic(), since)

    def retry(self, attempt: str, phase: str, why: str) -> None:
        """Leave a line above the table."""
        self._print(_one_line(f"{attempt}: {phase} failed, once more: {cause(why)}"), style="yellow")

    def note(self, line: str) -> None:
        """Leave it above the table."""
        self._print(_one_line(line), style="yellow")

    def build(self, layer: Layer, name: str, line: str) -> None:
        """Show the last line of the builds."""
        self._last_line = _one_line(f"{layer} for {name}: {line}")

    def done(self, attempt: Attempt, *, earlier: bool = False) -> None:
        """Count it, and leave its line above the table."""
        self._running.pop(title(attempt.instance_id, attempt.repeat), None)
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

        now = time.monotonic()
        finished = self._outcomes.total()
        judged = sum(count for outcome, count in self._outcomes.items() if outcome.counts)
        resolved = wilson(self._outcomes[Outcome.RESOLVED], judged)
        head = Grid.grid(padding=(0, 2))
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.most_common())
        head.add_row(
            Text("finished"),
            ProgressBar(total=self._total, completed=finished, width=30),
            Text(f"{finished} of {self._total}"),
        )
        head.add_row(
            Text("resolved"),
            ProgressBar(total=max(judged, 1), completed=self._outcomes[Outcome.RESOLVED], width=30),
            Text(str(resolved) if judged else "nothing judged yet"),
        )
        for phase in _PHASES:
            working = sum(name == phase for name, _, _ in self._running.values())
            head.add_row(
                Text(phase),
                ProgressBar(total=max(len(self._running), 1), completed=working, width=30),
                Text(f"{working} at work"),
            )
        grid = Grid.grid(padding=(0, 2))
        longest = sorted(self._running.items(), key=lambda entry: entry[1][2])
        for attempt, (name, since, begun) in longest[:_SHOWN]:
            grid.add_row(
                Text(attempt), Text(f"{name} {now - since:.0f} s"), Text(f"{now - begun:.0f} s", justify="right")
            )
        more = f"and {len(longest) - _SHOWN} more" if len(longest) > _SHOWN else ""
        last = self._last_line if self._running else ""
        return Group(
            head,
            Text(counts, style="dim"),
            grid,
            Text(more or last, style="dim", overflow="ellipsis", no_wrap=True),
        )


def progress_for(total: int, *, verbose: bool = False) -> Progress:
    """The live table on a terminal, plain lines elsewhere or with `verbose`."""
    return Table(total) if sys.stderr.isatty() and not verbose else Lines(total, verbose=verbose)
