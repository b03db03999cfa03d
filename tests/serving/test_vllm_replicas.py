"""Two vLLM servers of a random checkpoint behind vLLM's own router."""

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest
from vllm_served import CONTEXT, served

from qcode.backends.openai_compat import OpenAIBackend
from qcode.messages import Assistant, Stop, User
from qcode.model import Request, Sampling
from qcode.serving import probe
from qcode.serving.state import Phase

pytestmark = pytest.mark.serving

MODEL = "qwen3-coder-480b-a35b"


def asked(session: int) -> Request:
    words = " ".join(f"word{session}-{n}" for n in range(400))
    sampling = Sampling(temperature=0.0, max_tokens=16)
    return Request("You read.", (User(text=words),), (), sampling, session=f"session {session}")


async def answered(backend: OpenAIBackend, session: int) -> Assistant:
    async with aclosing(backend.stream(asked(session))) as stream:
        answer = [item async for item in stream][-1]
    assert isinstance(answer, Assistant)
    assert answer.stop is Stop.LENGTH
    return answer


async def test_sessions_keep_their_replica_and_go_on_when_one_is_killed(
    toys: Path, vllm_python: Path, tmp_path: Path
) -> None:
    """All over one connection, as the harness has it."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(served(MODEL, toys / MODEL, vllm_python, tmp_path, "--replicas", "2"))
        assert server.record.context == CONTEXT
        assert len(server.record.processes) == 3
        backend = OpenAIBackend(server.record.base_url, server.record.served)
        await stack.enter_async_context(aclosing(backend))
        assert (await backend.ready()).context_window == CONTEXT
        await asyncio.gather(*(answered(backend, session) for session in range(6)))
        # What one replica has read the other has not: a session that came to the other would find nothing.
        for session in range(6):
            usage = (await answered(backend, session)).usage
            assert usage.cached_tokens > 0.8 * usage.prompt_tokens
        read = [probe.tokens_so_far(server.port + 1 + replica) or 0 for replica in range(2)]
        assert min(read) > 0.3 * max(read)

        os.kill(server.record.processes[0], signal.SIGKILL)
        for session in range(6):
            await answered(backend, session)
        async with asyncio.timeout(600):
            while (now := server.now()).restarts == 0 or now.phase is not Phase.READY or len(now.processes) < 3:
                await asyncio.to_thread(time.sleep, 0.5)
        assert "SIGKILL" in now.note
        assert now.processes[0] != server.record.processes[0]
        assert now.processes[1:] == server.record.processes[1:]
