"""What a session remembers of its edits: earlier contents to go back to, and misses."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass

_BYTES_KEPT = 32_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One edit of a file: its bytes before (None: there was no file) and after."""

    path: str
    before: bytes | None
    after: bytes


class EditHistory:
    """Edits in order, the oldest forgotten beyond a bound in bytes; misses per file since its last edit; and what each
    file was when the model last saw it, within the same bound.

    `lock` is held over each read, change and write, so that two calls at once do not lose an edit.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._changes: deque[Change] = deque()
        self._bytes = 0
        self._misses: Counter[str] = Counter()
        self._seen: dict[str, bytes] = {}
        self._seen_bytes = 0

    def edited(self, change: Change) -> None:
        """Remember an edit."""
        self._misses.pop(change.path, None)
        self.saw(change.path, change.after)
        self._changes.append(change)
        self._bytes += _size(change)
        while self._bytes > _BYTES_KEPT and len(self._changes) > 1:
            self._bytes -= _size(self._changes.popleft())

    def last(self, path: str) -> Change | None:
        """The latest edit of a file that was not undone."""
        return next((change for change in reversed(self._changes) if change.path == path), None)

    def undone(self, change: Change) -> None:
        """Forget an edit."""
        self._changes.remove(change)
        self._bytes -= _size(change)
        self._misses.pop(change.path, None)
        if change.before is None:
            self._forget(change.path)
        else:
            self.saw(change.path, change.before)

    def missed(self, path: str) -> int:
        """Count an edit that did not fit; how many there were since the last one that did."""
        self._misses[path] += 1
        return self._misses[path]

    def saw(self, path: str, data: bytes) -> None:
        """The model was shown a file, or wrote it, as it is now."""
        self._forget(path)
        self._seen[path] = data
        self._seen_bytes += len(data)
        while self._seen_bytes > _BYTES_KEPT and len(self._seen) > 1:
            self._forget(next(iter(self._seen)))

    def last_seen(self, path: str) -> bytes | None:
        """The file as the model knows it; None if it was never shown here, or too long ago."""
        return self._seen.get(path)

    def _forget(self, path: str) -> None:
        self._seen_bytes -= len(self._seen.pop(path, b""))


def _size(change: Change) -> int:
    return len(change.before or b"") + len(change.after)
