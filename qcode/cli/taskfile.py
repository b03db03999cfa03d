"""Where a task's words come from."""

import sys
from pathlib import Path

from qcode.errors import ConfigError

MAX_BYTES = 1_000_000


def read_task(source: str) -> str:
    """The text of a file, or of standard input for "-". Raises: ConfigError."""
    if source == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise ConfigError("no task on standard input: pipe one in, or give --task FILE")
        data, name = sys.stdin.buffer.read(MAX_BYTES + 1), "standard input"
    else:
        path, name = Path(source), source
        try:
            if path.exists() and not path.is_file():
                raise ConfigError(f"{name} is not a file: give the task as a text file, or - for standard input")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"cannot read the task {name}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"the task in {name} is above {MAX_BYTES // 1000} kB: describe it in fewer words")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"the task in {name} is not UTF-8 text") from None
    if not text.strip():
        raise ConfigError(f"the task in {name} is empty")
    return text.strip()
