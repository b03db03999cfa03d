"""How long a prompt may be at each kind of server, and what happens where it is too long."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from qcode.backends.openai_compat import Needs, OpenAIBackend
from qcode.errors import ContextOverflow, Refused
from qcode.messages import Assistant, User
from qcode.model import Delta, Request, Sampling

Serve = Callable[..., Awaitable[tuple[str, Any]]]
Connect = Callable[..., OpenAIBackend]
Collect = Callable[..., Awaitable[tuple[list[Delta], Assistant]]]

NEEDS = Needs(smallest=16_000)


def models(owner: str, **fields: object) -> dict[str, Any]:
    return {"data": [{"id": "qwen3-coder:30b", "object": "model", "owned_by": owner, **fields}]}


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": tokens, "completion_tokens": 3}


def asked(text: str, max_tokens: int = 64) -> Request:
    return Request("s", (User(text=text),), (), Sampling(max_tokens=max_tokens))


SERVERS = {
    "vLLM": ({"/v1/models": (200, models("vllm", max_model_len=4096))}, "vLLM with --max-model-len 32768"),
    "SGLang": (
        {
            "/v1/models": (200, models("sglang", max_model_len=32_768)),
            "/get_server_info": (200, {"max_total_num_tokens": 4096}),
        },
        "SGLang with --context-length 32768",
    ),
    "llama.cpp": (
        {
            "/v1/models": (200, models("llamacpp", meta={"n_ctx_train": 262_144})),
            "/props": (200, {"default_generation_settings": {"n_ctx": 4096}}),
        },
        "llama-server with -c 32768",
    ),
    "LM Studio": (
        {
            "/v1/models": (200, models("organization_owner")),
            "/api/v0/models": (
                200,
                {"data": [{"id": "qwen3-coder:30b", "loaded_context_length": 4096, "max_context_length": 262_144}]},
            ),
        },
        "lms load qwen3-coder:30b --context-length 32768",
    ),
}


@pytest.mark.parametrize("name", SERVERS)
async def test_a_window_that_is_too_small_is_refused_with_what_to_change(
    serve: Serve, connect: Connect, collect: Collect, name: str
) -> None:
    routes, fix = SERVERS[name]
    url, _ = await serve({"text": "done"}, routes=routes)
    backend = connect(url, "qwen3-coder:30b", needs=NEEDS)
    with pytest.raises(Refused) as refused:
        await collect(backend)
    assert "window of 4096 tokens" in str(refused.value)
    assert fix in str(refused.value)
    assert "--small-context" in str(refused.value)
    assert (backend.info.engine, backend.info.context_window) == (name, 4096)


async def test_it_can_be_worked_with_all_the_same(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, _ = await serve({"text": "done"}, routes=SERVERS["vLLM"][0])
    assert (await collect(connect(url, "qwen3-coder:30b")))[1].text == "done"


def ollama(**shown: object) -> dict[str, tuple[int, Any]]:
    return {
        "/v1/models": (200, models("library")),
        "/api/show": (200, {"model_info": {"qwen3moe.context_length": 262_144}, **shown}),
        "/api/ps": (200, {"models": [{"name": "qwen3-coder:30b", "context_length": 4096}]}),
        "/api/create": (200, {"status": "success"}),
    }


async def test_ollama_is_given_a_window_before_the_first_request(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    said: list[str] = []
    url, server = await serve({"text": "done"}, routes=ollama())
    backend = connect(url, "qwen3-coder:30b", needs=Needs(smallest=16_000, notice=said.append))
    assert (await collect(backend))[1].text == "done"
    made = next(body for _, path, _, body in server.requests if path == "/api/create")
    assert made["parameters"] == {"num_ctx": 32_768}
    assert made["from"] == "qwen3-coder:30b"
    assert server.bodies[0]["model"] == made["model"] == "qcode/qwen3-coder:30b-32768"
    assert backend.info.context_window == 32_768
    assert said == ["Ollama gives qwen3-coder:30b its own window of 4096 tokens; made qcode/qwen3-coder:30b-32768 with "
                    "32768"]  # fmt: skip


async def test_an_ollama_that_makes_no_model_is_refused_with_what_to_set(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    said: list[str] = []
    routes = ollama() | {"/api/create": (400, {"error": "neither 'from' or 'files' was specified"})}
    url, _ = await serve({"text": "done"}, routes=routes)
    backend = connect(url, "qwen3-coder:30b", needs=Needs(smallest=16_000, notice=said.append))
    with pytest.raises(Refused, match=r"window of 4096 tokens.*OLLAMA_CONTEXT_LENGTH=32768"):
        await collect(backend)
    assert "did not take a larger one" in said[0]


async def test_a_window_of_ollama_that_is_large_enough_is_left_alone(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    routes = ollama(parameters='stop  "<|im_end|>"\nnum_ctx                        65536\ntemperature 0.7')
    url, server = await serve({"text": "done"}, routes=routes)
    backend = connect(url, "qwen3-coder:30b", needs=NEEDS)
    await collect(backend)
    assert backend.info.context_window == 65_536
    assert server.bodies[0]["model"] == "qwen3-coder:30b"
    assert "/api/create" not in [path for _, path, _, _ in server.requests]


async def test_a_prompt_that_was_cut_without_a_word_is_noticed(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    """The canary of every session: a prompt that grew cannot have fewer tokens than before."""
    replies = [{"text": "a", "usage": usage(3900)}, {"text": "b", "usage": usage(2048)}]
    url, _ = await serve(*replies, routes={"/v1/models": (200, models("library"))} | ollama())
    backend = connect(url, "qwen3-coder:30b")
    await collect(backend, asked("x" * 12_000))
    with pytest.raises(ContextOverflow, match=r"cuts long prompts without saying so: it read 2048.*OLLAMA_CONTEXT"):
        await collect(backend, asked("x" * 16_000))


async def test_a_prompt_is_not_compared_with_another_conversation_s(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    """One backend serves all attempts of a run, and rare words have more tokens than a longer text of common ones."""
    replies = [{"text": text, "usage": usage(tokens)} for text, tokens in (("a", 3900), ("b", 2048), ("c", 4000))]
    url, _ = await serve(*replies, routes={"/v1/models": (200, models("library"))} | ollama())
    backend = connect(url, "qwen3-coder:30b")
    await collect(backend, replace(asked("x" * 12_000), session="one"))
    await collect(backend, replace(asked("x" * 16_000), session="other"))
    await collect(backend, replace(asked("x" * 12_400), session="one"))


async def test_an_overflow_is_foreseen_by_the_server_s_own_count_and_nothing_is_sent(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    routes = {"/v1/models": (200, models("vllm", max_model_len=4096)), "/tokenize": (200, {"count": 4000})}
    url, server = await serve({"text": "done"}, routes=routes)
    backend = connect(url, "qwen3-coder:30b")
    await backend.ready()
    with pytest.raises(ContextOverflow, match="has 4000 tokens and leaves too little of the window of 4096"):
        await collect(backend, asked("x" * 20_000, max_tokens=1024))
    assert server.bodies == []


async def test_an_answer_is_kept_to_the_room_beside_the_prompt(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    routes = {"/v1/models": (200, models("vllm", max_model_len=4096)), "/tokenize": (200, {"count": 3000})}
    url, server = await serve({"text": "done"}, routes=routes)
    backend = connect(url, "qwen3-coder:30b")
    await backend.ready()
    await collect(backend, asked("x" * 20_000, max_tokens=16_384))
    assert server.bodies[0]["max_tokens"] == 1096


async def test_a_short_prompt_costs_no_question(serve: Serve, connect: Connect, collect: Collect) -> None:
    routes = {"/v1/models": (200, models("vllm", max_model_len=32_768)), "/tokenize": (200, {"count": 10})}
    url, server = await serve({"text": "done"}, routes=routes)
    backend = connect(url, "qwen3-coder:30b")
    for _ in range(2):
        await collect(backend)
    assert [path for _, path, _, _ in server.requests].count("/v1/models") == 1
    assert "/tokenize" not in [path for _, path, _, _ in server.requests]


async def test_without_a_tokenizer_what_cannot_fit_is_not_sent(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, server = await serve({"text": "a", "usage": usage(20_000)}, routes=ollama(parameters="num_ctx 32768"))
    backend = connect(url, "qwen3-coder:30b")
    await collect(backend, asked("x" * 60_000))
    with pytest.raises(ContextOverflow):
        await collect(backend, asked("x" * 300_000))
    assert len(server.bodies) == 1
