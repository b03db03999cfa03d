"""How many requests a server is given at a time: by real servers with limits, and in simulated time."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from openai_script import serving
from paced_server import PacedServer, pacing
from waiting import come_about

from qcode.app.options import RunOptions
from qcode.backends.openai_compat import OpenAIBackend
from qcode.backends.retry import AT_ONCE
from qcode.messages import Assistant, Usage, User
from qcode.model import Reachable, Request
from qcode_evals.agents.command.endpoint import Endpoint, Model
from qcode_evals.agents.command.tally import Tally
from qcode_evals.cli import parser
from qcode_evals.running.plans import Plan
from qcode_evals.server.inflight import NEVER, InFlight, Limited, in_flight
from qcode_evals.server.queues import Queue, gauges
from qcode_evals.server.tuning import FIRST, Tuner, work_of
from qcode_sandbox.service import listening

ASK = Request(system="", history=(User(text="go on"),))
MOST = 20


@asynccontextmanager
async def limited(url: str, room: InFlight) -> AsyncIterator[Limited]:
    backend = Limited(OpenAIBackend(url, "scripted", retry=NEVER), room, retry=AT_ONCE)
    try:
        await backend.ready()
        yield backend
    finally:
        await backend.aclose()


async def asked(backend: Reachable, until: Callable[[], bool]) -> int:
    """Ask with MOST askers at a time until it holds; how many answers came."""
    answers = 0

    async def ask() -> None:
        nonlocal answers
        while not until():
            async with aclosing(backend.stream(ASK)) as stream:
                async for item in stream:
                    answers += isinstance(item, Assistant)

    async with asyncio.TaskGroup() as askers:
        for _ in range(MOST):
            askers.create_task(ask())
    return answers


async def test_a_server_that_refuses_is_given_what_it_takes() -> None:
    async with pacing(takes=6) as (url, server):
        room = in_flight(MOST, base_url=lambda: url, key=None)
        async with limited(url, room) as backend:
            answers = await asked(backend, lambda: server.answered >= 100)
    assert answers >= 90
    assert 5 <= room.limit <= 7
    assert server.refused <= answers / 10, "it is found, not tried again and again"
    # In real time a number below what it takes may do better by chance: then that is what was said last.
    reasons = "it refused more|more got less done"
    assert re.fullmatch(rf"requests at a time: {room.limit} \(of at most 20: ({reasons})\)", room.found)


async def test_a_server_that_tells_its_queue_is_given_little_more_than_it_works_on() -> None:
    async with pacing(batch=3) as (url, server):
        room = InFlight(MOST, tuner=Tuner(MOST), queue=Queue(lambda: url), look_s=0.01)
        async with limited(url, room) as backend:
            asking = asyncio.ensure_future(asked(backend, asyncio.Event().is_set))
            await come_about(lambda: room.limit == 4)
            assert "more waited in its queue" in room.found
            server.batch = MOST
            await come_about(lambda: room.limit >= FIRST, "what it works on grows, and so does what it is given")
            asking.cancel()
            await asyncio.wait([asking])


async def test_a_server_without_metrics_is_not_asked_for_them_again() -> None:
    async with pacing() as (url, server):
        room = InFlight(MOST, tuner=Tuner(MOST), queue=Queue(lambda: url), look_s=0.0)
        async with limited(url, room) as backend:
            await asked(backend, lambda: server.answered >= 20)
    assert [path for _, path, _, _ in server.requests].count("/metrics") == 1


def worse_beyond(best: int) -> Callable[[int], float]:
    """Tokens a second with so many at a time: each more helps until there are too many."""
    return lambda present: present * 10.0 if present <= best else best * 10.0 * (best / present) ** 2


async def test_a_server_that_slows_down_beyond_a_number_is_given_no_more() -> None:
    async def seconds(room: InFlight, server: PacedServer, url: str, answers: int) -> float:
        """For an answer."""
        # Those that are left when the others have ended are no full number any more.
        server.wanted = lambda: room.limit if server.answered < answers else 1
        async with limited(url, room) as backend:
            await asked(backend, lambda: server.answered >= answers)
        return server.clock / server.answered

    async with pacing(speed=worse_beyond(9)) as (url, server):
        room = InFlight(MOST, tuner=Tuner(MOST, clock=lambda: server.clock))
        tuned = await seconds(room, server, url, 130)
        assert 6 <= room.limit <= 12
        assert "more got less done" in room.found
    async with pacing(speed=worse_beyond(9)) as (url, server):
        assert tuned < await seconds(InFlight(MOST), server, url, 40) / 2


def simulated(
    speed: Callable[[int, int], float], *, most: int, answers: int, fixed: int | None = None
) -> tuple[float, int]:
    """Seconds for so many answers where all places are always used, and the number in the end. `speed` is of so many
    requests at a time, at an answer."""
    clock = 0.0
    tuner = Tuner(most, clock=lambda: clock)
    for answer in range(answers):
        present = fixed or tuner.limit
        tuner.now(present)
        work = 1.0 + answer * 7 % 10
        clock += work / speed(present, answer)
        tuner.answered(work)
    return clock, tuner.limit


CHANCE = [random.Random(3).uniform(0.7, 1.3) for _ in range(5000)]
SPEEDS: dict[str, Callable[[int, int], float]] = {
    "grows": lambda n, _: float(n),
    "grows, and prompts do": lambda n, answer: n / (1 + answer / 200),
    "grows, unevenly": lambda n, answer: n * CHANCE[answer % 5000],
    "saturates": lambda n, _: float(min(n, 16)),
    "saturates, unevenly": lambda n, answer: min(n, 16) * CHANCE[answer * 31 % 5000],
    "one at a time": lambda n, _: 1.0,
}


@pytest.mark.parametrize("name", SPEEDS)
@pytest.mark.parametrize("most", [4, 20, 64])
def test_it_is_never_much_slower_than_all_at_once(name: str, most: int) -> None:
    answers = 60 * most
    tuned, limit = simulated(SPEEDS[name], most=most, answers=answers)
    fixed, _ = simulated(SPEEDS[name], most=most, answers=answers, fixed=most)
    assert tuned < 1.15 * fixed
    assert limit > most / 2 or "grows" not in name


@pytest.mark.parametrize("best", [9, 12, 24])
def test_where_too_many_do_less_the_number_that_does_most_is_found(best: int) -> None:
    speed = worse_beyond(best)
    tuned, limit = simulated(lambda n, _: speed(n), most=64, answers=3000)
    ideal, _ = simulated(lambda n, _: speed(n), most=64, answers=3000, fixed=best)
    fixed, _ = simulated(lambda n, _: speed(n), most=64, answers=3000, fixed=64)
    assert tuned < min(1.5 * ideal, fixed / 4)
    assert best / 1.5 <= limit <= best * 1.5


def test_one_burst_of_refusals_takes_half_away_at_most() -> None:
    tuner = Tuner(8)
    begun = 0.0
    for others in range(7, -1, -1):
        tuner.refused(others=others, begun=begun)
    assert tuner.limit <= 4


async def test_a_fixed_number_stays_and_nothing_is_said_of_it() -> None:
    async with pacing(takes=12) as (url, server):
        room = InFlight(3)
        async with limited(url, room) as backend:
            await asked(backend, lambda: server.answered >= 30)
    assert server.most == 3
    assert room.found == ""
    assert parser().parse_args(["--dataset", "x", "--agent", "gold", "--out", "y"]).requests is None


async def test_who_is_cancelled_while_it_waits_leaves_its_place() -> None:
    room = InFlight(1)
    order: list[str] = []

    async def use(name: str, end: asyncio.Event) -> None:
        async with room.one():
            order.append(name)
            await end.wait()

    first, other = asyncio.Event(), asyncio.Event()
    other.set()
    using = [asyncio.ensure_future(use("first", first))]
    await come_about(lambda: order)
    using += [asyncio.ensure_future(use(name, other)) for name in ("second", "third")]
    await asyncio.sleep(0)
    first.set()
    using[1].cancel()
    await asyncio.wait(using)
    assert order == ["first", "third"]


async def test_requests_of_another_agent_have_the_same_places(tmp_path: Path) -> None:
    async with pacing(takes=2) as (url, server):
        room = in_flight(MOST, base_url=lambda: url, key=None)
        async with httpx.AsyncClient() as far:
            handle = Endpoint(Model(far, url, "scripted", room=room), Tally()).handle
            async with listening(tmp_path / "model.sock", handle, limit=1 << 16):
                near = httpx.AsyncHTTPTransport(uds=str(tmp_path / "model.sock"))
                async with httpx.AsyncClient(transport=near, base_url="http://box/v1/", timeout=120) as client:
                    sent = [client.post("chat/completions", json={"stream": True, "messages": []}) for _ in range(8)]
                    statuses = [answer.status_code for answer in await asyncio.gather(*sent)]
        await room.aclose()
    assert sorted(set(statuses)) == [200, 429], "what the server says is the agent's to read"
    assert server.refused
    assert room.limit < FIRST
    assert "it refused more" in room.found


async def test_a_plan_for_a_server_is_tuned_and_one_with_a_number_is_not() -> None:
    async with serving({"text": "done"}) as (url, _):
        options = RunOptions(repo=Path(), base_url=url, retry=AT_ONCE)
        for tuned in (True, False):
            agent = Plan("qcode", options, MOST, tuned=tuned).agent()
            try:
                await agent.ready()
                assert agent.places is not None
                assert agent.places.found == "", "nothing was asked yet"
                async with aclosing(agent.chosen.backend.stream(ASK)) as stream:
                    assert [item async for item in stream]
                assert bool(agent.places.found) is tuned
            finally:
                await agent.aclose()


def test_what_a_server_tells_of_its_queue() -> None:
    text = '# TYPE x gauge\nvllm:num_requests_running{engine="0",model_name="a b"} 3.0\n'
    assert gauges(text) is None
    waiting = 'vllm:num_requests_waiting{engine="0"} 2.0\n'
    assert gauges(text + waiting) == (3, 2)
    assert gauges(text + waiting + text + waiting) == (6, 4), "several engines"
    assert gauges("llamacpp:requests_processing 4\nllamacpp:requests_deferred 1\n") == (4, 1)
    assert gauges("vllm:num_requests_running 1e999\nvllm:num_requests_waiting 0\n") is None


def test_reading_counts_for_less_than_writing() -> None:
    assert work_of(Usage(prompt_tokens=900, cached_tokens=100, completion_tokens=50)) == 150.0
    assert work_of(Usage()) == 1.0
