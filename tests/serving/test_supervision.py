"""Servers that are started, shared, killed and stopped: llama.cpp's own server with a real model."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from qcode.backends.openai_compat import OpenAIBackend
from qcode.errors import ConfigError, Unavailable
from qcode.events import EngineRestarted, TextDelta
from qcode.messages import Assistant, User
from qcode.model import Request, Sampling
from qcode.serving import probe
from qcode.serving.backend import ServedBackend
from qcode.serving.client import Lease, stop
from qcode.serving.plan import Plan
from qcode.serving.state import Phase, running

pytestmark = pytest.mark.model

COUNT = Request(
    "You count.", (User(text="Count from 1 to 40, one number a line."),), (), Sampling(temperature=0.0, max_tokens=24)
)
MakeLease = Callable[..., Lease]


def served(plan: Plan, lease: Lease) -> ServedBackend:
    return ServedBackend(plan, lease, connect=lambda url, model, retry: OpenAIBackend(url, model, retry=retry))


async def test_two_sessions_share_a_server_and_the_last_one_ends_it(
    small_plan: Plan, lease: MakeLease, notices: list[str]
) -> None:
    first, second = lease(small_plan, linger_s=0.5), lease(small_plan, linger_s=0.5)
    # Both at the same moment: only one server comes of it.
    one, other = await asyncio.gather(first.ready(), second.ready())
    assert one.processes == other.processes
    assert one.context == 4096
    assert any("loading weights" in notice for notice in notices)
    port = int(one.base_url.split(":")[2].removesuffix("/v1"))
    assert probe.answers(port, one.served, timeout_s=30)
    assert probe.tokens_so_far(port)

    folder = first.folder
    with pytest.raises(ConfigError, match=r"2 sessions use .* --force"):
        stop(folder)
    first.release()
    await asyncio.sleep(1.5)
    assert folder.supervised()
    second.release()
    for _ in range(100):
        if not folder.supervised():
            break
        await asyncio.sleep(0.1)
    record = folder.read()
    assert record is not None
    assert record.phase is Phase.STOPPED
    assert list(running()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(one.processes[0], 0)


async def test_an_answer_is_asked_again_when_the_server_was_killed_in_its_middle(
    small_plan: Plan, lease: MakeLease
) -> None:
    backend = served(small_plan, lease(small_plan))
    killed, items = False, []
    async with aclosing(backend.stream(COUNT)) as stream:
        async for item in stream:
            items.append(item)
            if isinstance(item, TextDelta) and not killed:
                killed = True
                [(_, record)] = running()
                os.kill(record.processes[0], signal.SIGKILL)
    [restart] = [index for index, item in enumerate(items) if isinstance(item, EngineRestarted)]
    assert "SIGKILL" in items[restart].error
    answer = items[-1]
    assert isinstance(answer, Assistant)
    # The whole answer comes after the restart: nothing of the one that broke off is in it.
    assert "".join(item.text for item in items[restart:] if isinstance(item, TextDelta)) == answer.text
    assert answer.text.startswith("".join(item.text for item in items[:restart] if isinstance(item, TextDelta)))
    assert backend.info.context_window == 4096
    await backend.aclose()


async def test_a_supervisor_that_is_killed_takes_the_engine_along_and_is_replaced(
    small_plan: Plan, lease: MakeLease
) -> None:
    session = lease(small_plan)
    before = await session.ready()
    os.kill(before.supervisor, signal.SIGKILL)
    # Its lock goes with it, a moment later.
    for _ in range(100):
        if not session.folder.supervised():
            break
        await asyncio.sleep(0.05)
    after = await session.ready()
    assert after.supervisor != before.supervisor
    with pytest.raises(ProcessLookupError):
        os.kill(before.processes[0], 0)


async def test_a_server_that_cannot_start_says_why(small_plan: Plan, lease: MakeLease, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF but no more")
    weights = small_plan.weights.model_copy(update={"model": str(damaged)})
    session = lease(small_plan.model_copy(update={"weights": weights}))
    with pytest.raises(Unavailable, match=r"cannot be served: it ended with exit code 1: .*; see .*engine\.log"):
        await session.ready()


async def test_a_taken_port(small_plan: Plan, lease: MakeLease) -> None:
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        plan = small_plan.model_copy(update={"port": port})
        with pytest.raises(Unavailable, match=f"port {port} is taken by another program: name another with --port"):
            await lease(plan, fixed_port=True).ready()
        record = await lease(plan).ready()
        assert record.base_url != f"http://127.0.0.1:{port}/v1"
