"""Which slot gets a request."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from qcode.backends.llama.slots import SlotPool, common_length


@given(st.text(), st.text(), st.text())
def test_common_length_is_that_of_the_longest_common_start(start: str, first: str, second: str) -> None:
    length = common_length(start + first, start + second)
    assert length >= len(start)
    assert (start + first)[:length] == (start + second)[:length]
    assert (start + first)[length : length + 1] != (start + second)[length : length + 1] or length == len(start + first)


def test_a_conversation_comes_back_to_its_slot() -> None:
    pool = SlotPool(2)
    first, second = pool.acquire("system, then a", owner=1), pool.acquire("system, then b", owner=2)
    assert first.index != second.index
    first.text, second.text = "system, then a and more", "system, then b and more"
    pool.release(first)
    pool.release(second)
    assert pool.acquire("system, then b and more and more", owner=3).index == second.index
    assert pool.acquire("system, then b and more", owner=4).index == first.index


def test_a_request_waits_for_a_slot_that_is_being_cancelled() -> None:
    pool = SlotPool(2)
    slot = pool.acquire("a conversation", owner=1)
    slot.text = "a conversation"
    pool.leave(1)
    got: list[int] = []
    waiter = threading.Thread(target=lambda: got.append(pool.acquire("a conversation goes on", owner=2).index))
    waiter.start()
    pool.release(slot)
    waiter.join(10)
    assert got == [slot.index]
