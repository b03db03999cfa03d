"""Programs whose clock on the wall is another than this machine's, and jumps while they run."""

import os
import time
from pathlib import Path

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""libfaketime, of Debian's package faketime; it stands between a program and clock_gettime(2)."""

HOUR = 3600


class Clock:
    """Seconds by which the clock of the programs that are given `environment` goes wrong."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0
        self.jump_to(0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # What it shares with other programs that it is loaded into would be left in /dev/shm.
            "FAKETIME_DISABLE_SHM": "1",
        }

    def jump_to(self, offset: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+d}\n", encoding="ascii")
        new.replace(self._file)
        self._offset = offset

    def is_seen(self, told: float) -> bool:
        """Whether a program that has just told this time goes by it."""
        return abs(told - time.time() - self._offset) < HOUR / 2 if abs(self._offset) > 1 else True
