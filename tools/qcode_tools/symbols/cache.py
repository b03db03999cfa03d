"""What was found in a text, kept on the disk under the hash of the text: the same file is parsed once, ever.

An SQLite file in the cache directory; it can be deleted at any time. Processes at once share it.
"""

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from qcode_tools.parsing.parser import Symbol, Tags

VERSION = 1
"""Raised when other things are found in the same text."""

ROWS = 200_000
"""Texts that are kept; of more, those that were not used for longest go."""

_AT_ONCE = 500
_WAIT_S = 5.0
_TEXT_BYTES = 8_000_000

Key = tuple[str, str]
"""Language and hash of the content."""


class TagsCache:
    """Blocking. Any failure of the disk is as if nothing were kept."""

    def __init__(self, path: Path | None) -> None:
        """`path` of the file, None to keep nothing."""
        self._path = path

    def get(self, keys: Iterable[Key]) -> dict[Key, Tags]:
        """What is kept of these."""
        wanted = {f"{VERSION}:{language}:{content}": (language, content) for language, content in keys}
        found: dict[Key, Tags] = {}
        with contextlib.suppress(sqlite3.Error, OSError), self._open() as base:
            names = list(wanted)
            for first in range(0, len(names), _AT_ONCE):
                part = names[first : first + _AT_ONCE]
                marks = ",".join("?" * len(part))
                for name, data in base.execute(f"SELECT name, data FROM tags WHERE name IN ({marks})", part):
                    if (tags := _loaded(data)) is not None:
                        found[wanted[name]] = tags
                base.execute(f"UPDATE tags SET used = unixepoch() WHERE name IN ({marks})", part)
        return found

    def put(self, found: Mapping[Key, Tags]) -> None:
        """Keep these."""
        rows = [(f"{VERSION}:{language}:{content}", _dumped(tags)) for (language, content), tags in found.items()]
        with contextlib.suppress(sqlite3.Error, OSError), self._open() as base:
            base.executemany("INSERT OR REPLACE INTO tags VALUES (?, unixepoch(), ?)", rows)
            (count,) = base.execute("SELECT count(*) FROM tags").fetchone()
            if count > ROWS:
                base.execute(
                    "DELETE FROM tags WHERE name IN (SELECT name FROM tags ORDER BY used LIMIT ?)", (count - ROWS // 2,)
                )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if self._path is None:
            raise sqlite3.OperationalError
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        base = sqlite3.connect(self._path, timeout=_WAIT_S)
        try:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=OFF")
            base.execute("CREATE TABLE IF NOT EXISTS tags (name TEXT PRIMARY KEY, used INTEGER, data BLOB)")
            with base:
                yield base
        except sqlite3.DatabaseError as error:
            # Not a database, or a broken one: nothing in it is worth more than its place.
            if not isinstance(error, sqlite3.OperationalError):
                self._path.unlink(missing_ok=True)
            raise
        finally:
            base.close()


def _dumped(tags: Tags) -> bytes:
    return zlib.compress(json.dumps([list(map(astuple, tags.defined)), tags.referred]).encode())


def _loaded(data: bytes) -> Tags | None:
    try:
        defined, referred = json.loads(zlib.decompressobj().decompress(data, _TEXT_BYTES))
        return Tags(tuple(Symbol(*each) for each in defined), referred)
    except (ValueError, TypeError, zlib.error):
        return None
