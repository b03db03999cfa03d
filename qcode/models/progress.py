"""What a download tells whoever watches it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from qcode.models.digest import Advance, ignore


class Watch(Protocol):
    """Shows what happens: lines to read, and bars that count bytes."""

    def say(self, line: str) -> None:
        """One line of news."""
        ...

    def bar(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """A bar of `total` bytes; the block is given the function that moves it on."""
        ...


class Unwatched:
    """For callers without a screen."""

    def say(self, line: str) -> None:
        pass

    def bar(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return nullcontext(ignore)


class Counter:
    """Moves a bar to absolute positions, never backwards."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._done = 0

    def to(self, done: int) -> None:
        if done > self._done:
            self._advance(done - self._done)
            self._done = done
