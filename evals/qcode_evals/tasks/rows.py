"""Rows of a data set's file as raw objects, each with its place: JSON lines, JSON, or Parquet, told by the ending."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from qcode.errors import ConfigError


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Place ("line 3", "row 3") and object of every row, in the file's order; empty lines are skipped.

    A JSON file holds a list of rows, or an object of rows by name. Raises: ConfigError.
    """
    if path.exists() and not (path.is_file() or path.is_fifo()):
        raise ConfigError(f"cannot read the data set {path}: it is not a file")
    match path.suffix:
        case ".parquet":
            yield from _parquet(path)
        case ".json":
            yield from _json(path)
        case _:
            yield from _lines(path)


def ids_of(path: Path) -> list[str]:
    """Instances in a file of JSON lines that is being made, in its order; none if it is not there yet. A last line
    that was not written to its end is cut off. Raises: ConfigError."""
    if not path.exists():
        return []
    try:
        with path.open("r+b") as file:
            ids, end = [], 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                ids.append(str(json.loads(line)["instance_id"]))
            file.truncate(end)
    except OSError as error:
        raise ConfigError(f"cannot continue {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(f"cannot continue {path}: it does not hold rows as JSON lines") from None
    return ids


@contextmanager
def new_rows(path: Path, *, resume: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Writes rows to a file of JSON lines, each as soon as it is there, behind those of an earlier run to `resume`.

    Raises: ConfigError if it cannot be written, or holds rows that would be lost.
    """
    try:
        if not resume and path.exists() and path.stat().st_size:
            raise ConfigError(f"{path} is there already: continue it with --resume, or choose another --out")
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None

    def add(row: dict[str, Any]) -> None:
        try:
            file.write(json.dumps(row) + "\n")
            file.flush()
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}; what is in it stays") from None

    with file:
        yield add


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:  # editors on Windows write a mark at the beginning
            yield file
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read the data set {path}: {why}") from None


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ConfigError(f"{path}, line {number}: not JSON: {error}") from None
                yield f"line {number}", row


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    with _opened(path) as file:
        text = file.read()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    rows = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise ConfigError(f"{path}: holds neither a list of rows nor an object of rows")
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", row


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(f"{path}: reading Parquet needs pyarrow: pip install 'qcode[parquet]'") from None
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", {name: value for name, value in row.items() if value is not None}
    except (OSError, pyarrow.ArrowException) as error:
        raise ConfigError(f"cannot read the data set {path}: {' '.join(str(error).split())}") from None
