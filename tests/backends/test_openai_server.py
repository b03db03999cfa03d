"""What a server is told about us, and what it tells about itself."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qcode.backends.openai_compat import OpenAIBackend
from qcode.errors import (
    ConfigError,
    Refused,
    Unavailable,
)
from qcode.messages import Assistant
from qcode.model import Delta, Request

Serve = Callable[..., Awaitable[tuple[str, Any]]]
Connect = Callable[..., OpenAIBackend]
Collect = Callable[..., Awaitable[tuple[list[Delta], Assistant]]]


async def test_nothing_of_the_environment_is_sent(
    serve: Serve, connect: Connect, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    url, server = await serve({"text": "done"})
    backend = connect(url, "m")
    assert (await collect(backend))[1].text == "done"
    headers = server.requests[0][2]
    assert "secret" not in str(headers)
    assert "authorization" not in headers
    assert not [name for name in headers if name.startswith("x-stainless")]
    assert headers["user-agent"].startswith("qcode/")


async def test_a_router_can_tell_sessions_apart(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, server = await serve({"text": "one"}, {"text": "two"}, {"text": "three"})
    first, second = connect(url, "m"), connect(url, "m")
    for backend in (first, first, second):
        await collect(backend)
    named = [headers["x-session-id"] for method, path, headers, *_ in server.requests if path.endswith("completions")]
    assert named[0] == named[1] != named[2]
    assert all(len(name) == 32 for name in named)


async def test_a_key_is_sent_where_one_is_given(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, server = await serve({"text": "done"})
    backend = connect(url, "m", api_key="sk-mine")
    await collect(backend)
    assert server.requests[0][2]["authorization"] == "Bearer sk-mine"


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://x/v1", "http://", "http://a b/v1", "http://u:p@h/v1", "http://[::1"]
)
def test_a_base_url_that_is_none(connect: Connect, url: str) -> None:
    with pytest.raises(ConfigError, match="--base-url must look like"):
        connect(url, "m")


async def test_the_window_of_vllm(question: Request, serve: Serve, connect: Connect) -> None:
    models = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 32768}]}
    url, server = await serve(routes={"/v1/models": (200, models), "/tokenize": (200, {"count": 42, "tokens": [1]})})
    backend = connect(url, "m")
    assert backend.info.context_window is None
    info = await backend.ready()
    assert (info.model, info.engine, info.context_window) == ("m", "vLLM", 32768)
    assert backend.info == info
    assert await backend.count_tokens(question) == 42
    body = server.requests[-1][3]
    assert body["messages"][1]["content"] == "List the files."
    assert body["tools"][0]["function"]["name"] == "bash"


async def test_the_window_of_llama_cpp_is_what_it_runs_with(serve: Serve, connect: Connect) -> None:
    models = {"data": [{"id": "/models/q.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 262144}}]}
    routes = {
        "/v1/models": (200, models),
        "/props": (200, {"default_generation_settings": {"n_ctx": 8192}}),
        "/tokenize": (200, {"tokens": []}),
        "/apply-template": (200, {"prompt": "<|im_start|>"}),
    }
    url, _ = await serve(routes=routes)
    backend = connect(url, "anything")
    info = await backend.ready()
    assert (info.model, info.engine, info.context_window) == ("anything", "llama.cpp", 8192)


async def test_the_only_model_is_taken_without_a_name(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, server = await serve({"text": "done"}, routes={"/v1/models": (200, {"data": [{"id": "the-one"}]})})
    backend = connect(url)
    await collect(backend)
    assert server.bodies[0]["model"] == "the-one"
    assert backend.info.model == "the-one"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ({"data": [{"id": "a"}, {"id": "b\x1b[2J"}]}, "2 models: choose one with --model"),
        ({"data": []}, "name one with --model"),
        ("nonsense", "name one with --model"),
        ({"data": [None, 5, {"id": 7}]}, "name one with --model"),
    ],
)
async def test_no_name_and_no_single_model(
    serve: Serve, connect: Connect, collect: Collect, models: object, words: str
) -> None:
    url, _ = await serve(routes={"/v1/models": (200, models)})
    backend = connect(url)
    with pytest.raises(Refused, match=words) as caught:
        await collect(backend)
    assert str(caught.value).isprintable()


async def test_a_server_that_cannot_count_is_asked_once(question: Request, serve: Serve, connect: Connect) -> None:
    url, server = await serve({"text": "done"})
    backend = connect(url, "m")
    assert await backend.count_tokens(question) is None
    assert await backend.count_tokens(question) is None
    assert [path for _, path, _, _ in server.requests].count("/tokenize") == 1


async def test_a_server_without_a_list_of_models_still_answers(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, _ = await serve({"text": "done"}, routes={"/v1/models": (404, {"detail": "Not Found"})})
    backend = connect(url, "m")
    assert (await backend.ready()).context_window is None
    assert (await collect(backend))[1].text == "done"


async def test_closing_twice_and_asking_afterwards(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, _ = await serve({"text": "done"})
    backend = connect(url, "m")
    await collect(backend)
    await backend.aclose()
    await backend.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await collect(backend)
