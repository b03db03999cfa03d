"""Random checkpoints of the family's architectures on a real vLLM, served by the profiles of the large models: only the
sizes are scaled down. Streamed to, cancelled, killed in the middle of an answer, and resumed."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any

import golden
import pytest
from talking import pids
from vllm_served import CONTEXT, Served, run_on
from vllm_served import served as serving

from qcode.app.serving import lease_for
from qcode.backends.openai_compat import OpenAIBackend
from qcode.deltas import EngineRestarted, TextDelta
from qcode.messages import Assistant, Stop, User
from qcode.model import Request, Sampling
from qcode.serving import probe
from qcode.serving.backend import ServedBackend
from qcode.serving.state import folder_of

pytestmark = pytest.mark.serving

LENGTH = 160
LONG = Request(
    "You write.", (User(text="Write on and on."),), (), Sampling(temperature=1.0, seed=1, max_tokens=LENGTH)
)  # fmt: skip


async def test_it_loads_before_the_users_eyes_and_streams(served: Served) -> None:
    assert any(words in served.said for words in ("loading weights", "weights loaded", "cache of", "listening"))
    assert served.record.context == CONTEXT
    assert (served.record.served, served.record.restarts) == (served.record.model, 0)
    backend = served.backend()
    async with aclosing(backend.stream(LONG)) as stream:
        items = [item async for item in stream]
    answer = items[-1]
    assert isinstance(answer, Assistant)
    assert (answer.stop, answer.usage.completion_tokens) == (Stop.LENGTH, LENGTH)
    assert sum(isinstance(item, TextDelta) for item in items) > 50
    info = await backend.ready()
    assert (info.engine, info.context_window) == ("vLLM", CONTEXT)
    await backend.aclose()


async def test_what_was_read_is_not_read_again(served: Served) -> None:
    backend = served.backend()
    words = " ".join(f"word{n}" for n in range(2000))
    request = Request("You read.", (User(text=words),), (), Sampling(temperature=0.0, max_tokens=4))
    counts = []
    for _ in range(2):
        async with aclosing(backend.stream(request)) as stream:
            answer = [item async for item in stream][-1]
        assert isinstance(answer, Assistant)
        counts.append((answer.usage.cached_tokens, answer.usage.prompt_tokens))
    (_, prompt), (cached, again) = counts
    assert prompt == again > 4000
    assert cached > 0.8 * prompt
    await backend.aclose()


async def test_a_cancelled_answer_ends_at_the_server(served: Served) -> None:
    backend = served.backend()
    endless = Request("You write.", LONG.history, (), Sampling(temperature=1.0, seed=2, max_tokens=15_000))
    begun: list[float | None] = []
    async with aclosing(backend.stream(endless)) as stream:
        async for item in stream:
            if isinstance(item, TextDelta):
                begun.append(probe.tokens_so_far(served.port))
            if len(begun) == 20:
                break
    assert None not in begun
    assert begun[-1] != begun[0]
    async with asyncio.timeout(30):
        while True:
            before = probe.tokens_so_far(served.port)
            await asyncio.sleep(1.0)
            if before is not None and before == probe.tokens_so_far(served.port):
                break
    await backend.aclose()


@pytest.mark.parametrize("answer", golden.answers("vllm"), ids=lambda answer: answer["case"])
def test_what_it_refuses_is_what_the_golden_file_says(served: Served, answer: dict[str, Any]) -> None:
    model = served.record.served
    status, body = golden.asked_again(served.record.base_url, model, answer)
    assert (status, golden.form(body, model)) == (answer["status"], golden.form(answer["body"], "qwen2.5-coder-1.5b"))


@pytest.mark.parametrize("victim", ["server", "engine"])
async def test_killed_in_the_middle_of_an_answer_and_resumed(
    served: Served, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole server, or the process behind it that holds the model: what a machine out of memory kills."""
    monkeypatch.setenv("XDG_STATE_HOME", served.environment["XDG_STATE_HOME"])
    folder = folder_of(served.record.id)
    plan = folder.plan()
    assert plan is not None
    lease = lease_for(plan, fixed_port=False, notice=print)
    backend = ServedBackend(plan, lease, connect=lambda url, model, retry: OpenAIBackend(url, model, retry=retry))
    killed, items = False, []
    async with aclosing(backend), aclosing(backend.stream(LONG)) as stream:
        async for item in stream:
            items.append(item)
            if isinstance(item, TextDelta) and not killed:
                killed = True
                server = served.now().processes[0]
                [engine] = pids("VLLM::EngineCore", of=server)
                os.kill(server if victim == "server" else engine, signal.SIGKILL)
    [restart] = [index for index, item in enumerate(items) if isinstance(item, EngineRestarted)]
    answer = items[-1]
    assert isinstance(answer, Assistant)
    assert answer.usage.completion_tokens == LENGTH
    assert "".join(item.text for item in items[restart:] if isinstance(item, TextDelta)) == answer.text
    assert ("SIGKILL" if victim == "server" else "the process that holds the model was killed") in served.now().note


def test_a_run_goes_on_where_its_server_was_killed(served: Served, tmp_path: Path) -> None:
    """An agent's whole turn: what the random model writes is held to the form of calls, and each call runs once."""
    killed: list[int] = []

    def kill(events: list[dict[str, Any]]) -> None:
        answers = sum(event.get("event") == "assistant_done" for event in events)
        if not killed and answers == 1 and events[-1].get("event") in {"text_delta", "tool_call_delta"}:
            killed.append(served.now().processes[0])
            os.kill(killed[0], signal.SIGKILL)

    code, events = run_on(served, tmp_path, "--max-turns", "3", "--seed", "3", seen=kill)
    kinds = Counter(event.get("event") for event in events)
    assert killed
    assert kinds["engine_restarted"] == 1
    assert kinds["assistant_done"] == kinds["step_started"] == 3
    asked = [event["call"]["id"] for event in events if event.get("event") == "tool_started"]
    answered = [event["result"]["call_id"] for event in events if event.get("event") == "tool_finished"]
    assert asked == answered
    assert len(set(asked)) == len(asked) > 0
    assert code == 3


def test_a_hybrid_model_is_held_to_its_own_form_of_calls(toys: Path, vllm_python: Path, tmp_path: Path) -> None:
    """A dense model whose template and parser are those of Hermes."""
    repo = tmp_path / "repo"
    repo.mkdir()
    with serving("qwen3-8b", toys / "qwen3-8b", vllm_python, tmp_path) as server:
        code, events = run_on(server, repo, "--max-turns", "2", "--no-think")
    answers = [event["message"] for event in events if event.get("event") == "assistant_done"]
    assert len(answers) == 2
    assert any(event.get("event") == "tool_started" for event in events)
    assert [answer["usage"]["recoveries"] for answer in answers] == [0, 0]
    # Of an answer that was stopped, the server does not say how much of its prompt was cached.
    told = [answer["usage"] for answer in answers[1:] if not answer["usage"]["cache_untold"]]
    assert all(usage["cached_tokens"] > 0 for usage in told)
    assert all(answer["usage"]["prompt_tokens"] > 500 for answer in answers[1:])
    assert code == 3


async def test_a_window_beyond_the_native_one_and_guesses_from_the_prompt(
    toys: Path, vllm_python: Path, tmp_path: Path
) -> None:
    """YaRN and n-gram speculation, as the real engine takes them."""
    model, window = "qwen3-coder-480b-a35b", 300_000
    words = ("--context", str(window), "--speculation", "ngram")
    with serving(model, toys / model, vllm_python, tmp_path, *words) as server:
        assert server.record.context == window
        backend = server.backend()
        assert (await backend.ready()).context_window == window
        async with aclosing(backend.stream(LONG)) as stream:
            answer = [item async for item in stream][-1]
        assert isinstance(answer, Assistant)
        assert answer.usage.completion_tokens == LENGTH
        await backend.aclose()


async def test_a_cache_that_does_not_hold_the_window_means_a_smaller_one(
    toys: Path, vllm_python: Path, tmp_path: Path
) -> None:
    """By vLLM's own refusal: 144 blocks of 128 tokens are 18,432."""
    model = "qwen3-coder-480b-a35b"
    words = ("--flag", "num-gpu-blocks-override=144", "--flag", "block-size=128")
    with serving(model, toys / model, vllm_python, tmp_path, *words) as server:
        window = server.record.context
        assert 16_384 <= window <= 18_432 < CONTEXT
        assert f"started again with a window of {window:,} tokens, not {CONTEXT:,}" in server.said
        backend = server.backend()
        assert (await backend.ready()).context_window == window
        await backend.aclose()
