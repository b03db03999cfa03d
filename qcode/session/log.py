"""The session's log: one JSON object a line, flushed before the next step begins. The log is the truth of a session."""

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from qcode.config.paths import state_dir
from qcode.errors import QcodeError
from qcode.events import TRANSIENT, Event, event_adapter


class SessionError(QcodeError):
    """For the user: the session's log cannot be written or read."""


class Session:
    """An open log. `record` appends one event; deltas are for the eye and are not kept."""

    def __init__(self, directory: Path | None = None, session_id: str | None = None) -> None:
        """Make the file, private to the user; its id sorts by time and does not collide when the clock is set back.

        Raises: SessionError.
        """
        now = datetime.now(UTC)
        self.started_at = now.isoformat(timespec="seconds")
        self.id = session_id or f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        folder = directory or state_dir() / "sessions"
        self.path = folder / f"{self.id}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SessionError(f"cannot write the session log {self.path}: {error.strerror}") from error

    def record(self, event: Event) -> None:
        """Append the event unless it is transient. One write a line: a crash leaves at most a torn last line.

        Raises: SessionError.
        """
        if isinstance(event, TRANSIENT):
            return
        line = event.model_dump_json().encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError as error:
            raise SessionError(
                f"cannot write the session log {self.path}: {error.strerror}; free some space, all before is kept"
            ) from error

    def close(self) -> None:
        """Close the file; safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def read_log(path: Path) -> Iterator[Event]:
    """The events of a log. A torn last line is passed over; any other line that is no event is an error.

    Raises: SessionError.
    """
    adapter = event_adapter()
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SessionError(f"cannot read the session log {path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            event = adapter.validate_json(line)
        except ValidationError as error:
            if number == len(lines):
                return
            raise SessionError(
                f"{path}, line {number}: not an event of a session ({error.error_count()} errors)"
            ) from error
        yield event
