"""Shows downloads on stderr: bars on a terminal, lines elsewhere."""

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from qcode.models.digest import Advance, ignore
from qcode.ui.sanitize import visible


class Screen:
    """The Watch of the command line."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        self._console.print(visible(line), markup=False)

    @contextlib.contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        if not sys.stderr.isatty():
            self.say(f"{label} ({size(total)})")
            yield ignore
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(visible(label), total=total)
            yield lambda count: progress.advance(task, count)


def size(count: int) -> str:
    """Bytes in the decimal unit that hubs and disks count in."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
