"""What the protocol's package complains of, as lines for the editor's log instead of tracebacks."""

import logging

from qcode.ui.sanitize import visible


class Line(logging.Formatter):
    """One line a complaint, with what was raised."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`."""
        error = record.exc_info[1] if record.exc_info else None
        return "qcode: " + visible(" ".join(f"{record.getMessage()}{f': {error}' if error else ''}".split()))


def as_lines() -> None:
    """From now on, in this process."""
    handler = logging.StreamHandler()
    handler.setFormatter(Line())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
