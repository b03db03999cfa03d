"""Child processes that fetch files into a folder; none of them outlives the block that started them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

# How often a folder's growth is looked at.
POLL_S = 0.1
_GRACE_S = 2.0


class Child:
    """One running process; its output is kept in files that nobody else sees."""

    def __init__(self, process: subprocess.Popen[bytes], out: IO[bytes], err: IO[bytes]) -> None:
        self._process = process
        self._out = out
        self._err = err

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        return _text(self._out)

    def errors(self) -> str:
        return _text(self._err)

    def end(self) -> None:
        """Stop it if it still runs, and wait until it is gone."""
        if self.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Crew:
    """Starts children and ends them all when the block is left, for whatever reason."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def start(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Child:
        """Run the Python interpreter with these arguments, and with `env` added to ours. Raises: OSError."""
        out = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        err = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-P", *arguments],
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        child = Child(process, out, err)
        self._stack.callback(child.end)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


def bytes_in(folder: Path) -> int:
    """Bytes on the disk below a folder; not the files' sizes, since some are made long before they are filled."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name), follow_symlinks=False).st_blocks * 512  # noqa: PTH116, PTH118
            except OSError:
                # Renamed or finished since it was listed.
                continue
    return total


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
