"""Which of the engine's slots answers a request: the one that has already read most of its prompt."""

import threading
from dataclasses import dataclass


@dataclass(slots=True)
class Slot:
    """One sequence of the engine's cache; `text` is what it holds, as far as that is known."""

    index: int
    text: str = ""
    owner: int | None = None
    """The request that it answers."""
    leaving: bool = False
    """Cancelled, but not yet out of the engine."""


class SlotPool:
    """Hands each request a slot of its own; waits while all are taken."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot(index) for index in range(count)]
        self._changed = threading.Condition()

    def acquire(self, prompt: str, *, owner: int) -> Slot:
        """The idle slot with the longest common start.

        A slot that is being cancelled is waited for: it most likely holds the very conversation that goes on here.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._any_idle() and not any(slot.leaving for slot in self._slots))
            idle = [slot for slot in self._slots if slot.owner is None]
            best = max(idle, key=lambda slot: (common_length(slot.text, prompt), -len(slot.text)))
            best.owner = owner
            return best

    def leave(self, owner: int) -> None:
        """This request was cancelled and will be out of the engine soon."""
        with self._changed:
            for slot in self._slots:
                slot.leaving = slot.leaving or slot.owner == owner

    def release(self, slot: Slot) -> None:
        """Its request is answered."""
        with self._changed:
            slot.owner, slot.leaving = None, False
            self._changed.notify_all()

    def _any_idle(self) -> bool:
        return any(slot.owner is None for slot in self._slots)


def common_length(first: str, second: str) -> int:
    """How many characters two texts have in common at their start; halving, because slices compare fast."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
