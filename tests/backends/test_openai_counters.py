"""How much vLLM had cached, from its counters, where its answers do not tell."""

from collections.abc import Awaitable, Callable
from typing import Any

from qcode.backends.openai_compat import OpenAIBackend
from qcode.messages import Assistant
from qcode.model import Delta

Serve = Callable[..., Awaitable[tuple[str, Any]]]
Connect = Callable[..., OpenAIBackend]
Collect = Callable[..., Awaitable[tuple[list[Delta], Assistant]]]

MODELS = {"/v1/models": (200, {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 32_768}]})}
ANSWER = {"text": "a", "usage": {"prompt_tokens": 100, "completion_tokens": 2, "prompt_tokens_details": None}}


def metrics(asked: float, found: float) -> tuple[int, str]:
    return 200, (
        "# TYPE vllm:prefix_cache_queries_total counter\n"
        f'vllm:prefix_cache_queries_total{{engine="0",model_name="m"}} {asked}\n'
        'vllm:prefix_cache_queries_created{engine="0",model_name="m"} 1.7953425278633072e+09\n'
        f'vllm:prefix_cache_hits_total{{engine="0",model_name="m"}} {found}\n'
    )


async def test_the_counters_tell_what_the_answer_does_not(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, server = await serve(ANSWER, routes=MODELS | {"/metrics": metrics(1000.0, 500.0)})
    backend = connect(url, "m")
    seen = []
    # The first look only says where they stand; the third finds the tokens of somebody else among them.
    for asked, found in ((1000.0, 500.0), (1100.0, 564.0), (1450.0, 800.0), (1.55e3, 896.0)):
        server._routes["/metrics"] = metrics(asked, found)
        usage = (await collect(backend))[1].usage
        seen.append((usage.cached_tokens, usage.cache_untold))
    assert seen == [(0, 1), (64, 0), (0, 1), (96, 0)]


async def test_a_vllm_without_counters_is_asked_once(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, server = await serve(ANSWER, routes=MODELS)
    backend = connect(url, "m")
    for _ in range(3):
        assert (await collect(backend))[1].usage.cache_untold == 1
    assert [path for _, path, _, _ in server.requests].count("/metrics") == 1
