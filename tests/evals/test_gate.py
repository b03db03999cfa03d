"""One count of the requests of all nodes of a cluster, without a cluster: workers call it in this process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai_script import serving

from qcode.app.options import RunOptions
from qcode.messages import Usage
from qcode_evals.running.executors.gate import Gate, Remote
from qcode_evals.running.plans import Plan


def plan(url: str, *, requests: int = 2, tuned: bool = False) -> Plan:
    return Plan("qcode", RunOptions(repo=Path(), base_url=url), requests, tuned=tuned)


def worker(gate: Gate, owner: int) -> Remote:
    """A worker's places, which begins an attempt at once."""
    told = set()

    async def ask(method: str, *arguments: object) -> None:
        # As in a cluster: the call goes on when whoever waits for it is gone.
        await asyncio.shield(asyncio.ensure_future(getattr(gate, method)(*arguments)))

    def tell(method: str, *arguments: object) -> None:
        told.add(task := asyncio.ensure_future(getattr(gate, method)(*arguments)))
        task.add_done_callback(told.discard)

    places = Remote(ask, tell)
    places.begin(owner)
    return places


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with serving({"text": "done"}) as (url, _):
        gate = Gate(plan(url))
        yield gate
        await gate.ended()


async def hold(places: Remote, until: asyncio.Event, taken: list[str], name: str) -> None:
    async with places.one():
        taken.append(name)
        await until.wait()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_all_nodes_together_have_so_many_and_no_more(gate: Gate) -> None:
    over, taken = asyncio.Event(), []
    tasks = [asyncio.ensure_future(hold(worker(gate, n), over, taken, str(n))) for n in range(5)]
    await settled()
    assert taken == ["0", "1"]
    over.set()
    await asyncio.gather(*tasks)
    assert taken == list("01234")


async def test_who_waits_no_longer_leaves_the_place_to_the_next(gate: Gate) -> None:
    first, rest, taken = asyncio.Event(), asyncio.Event(), []
    held = [asyncio.ensure_future(hold(worker(gate, n), first, taken, str(n))) for n in range(2)]
    await settled()
    late = asyncio.ensure_future(hold(worker(gate, 2), rest, taken, "late"))
    await settled()
    late.cancel()
    await asyncio.wait([late])
    await settled()
    last = [asyncio.ensure_future(hold(worker(gate, n), rest, taken, str(n))) for n in (3, 4)]
    first.set()
    await asyncio.gather(*held)
    await settled()
    assert taken == ["0", "1", "3", "4"]
    rest.set()
    await asyncio.gather(*last)


@pytest.mark.parametrize("how", ["the attempt is over", "it is made again elsewhere"])
async def test_what_a_lost_node_held_is_free_again(gate: Gate, how: str) -> None:
    """Nobody on it can give anything back."""
    for number in range(2):
        await gate.take(7, "on the lost node", f"ticket {number}")
    taken: list[str] = []
    over = asyncio.Event()
    if how == "the attempt is over":
        await gate.drop(7)
        places = worker(gate, 8)
    else:
        places = worker(gate, 7)
    tasks = [asyncio.ensure_future(hold(places, over, taken, str(number))) for number in range(2)]
    await settled()
    assert taken == ["0", "1"]
    over.set()
    await asyncio.gather(*tasks)


async def test_what_answers_and_refusals_tell_reaches_the_one_who_tunes() -> None:
    async with serving({"text": "done"}) as (url, _):
        gate = Gate(plan(url, requests=32, tuned=True))
        assert await gate.found() == ""
        async with worker(gate, 1).one() as place:
            place.answered(Usage(completion_tokens=5))
        await settled()
        assert "at most 32" in await gate.found()
        async with worker(gate, 2).one() as place:
            place.refused(None)
        await settled()
        assert "it refused more" in await gate.ended()
