"""What a server will not be sent, learned from its refusals."""

from collections.abc import Awaitable, Callable
from typing import Any

from qcode.backends.openai_compat import OpenAIBackend
from qcode.errors import (
    BackendError,
    ContextOverflow,
)
from qcode.messages import Assistant
from qcode.model import Delta, Request, Sampling

Serve = Callable[..., Awaitable[tuple[str, Any]]]
Connect = Callable[..., OpenAIBackend]
Collect = Callable[..., Awaitable[tuple[list[Delta], Assistant]]]
Failure = Callable[..., Awaitable[BackendError]]

CALL = "I look.\n\n<tool_call>\n<function=bash>\n<parameter=command>\nls -l\n</parameter>\n</function>\n</tool_call>"


async def test_fields_that_a_server_refuses_are_left_out_from_then_on(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, server = await serve(
        {"text": "done"}, rejects=("return_progress", "stream_options", "top_k", "repeat_penalty")
    )
    backend = connect(url, "m")
    sampling = Sampling(top_k=20, repetition_penalty=1.05, temperature=0.7)
    for _ in range(2):
        _, message = await collect(backend, Request("s", question.history, question.tools, sampling))
        assert message.text == "done"
    assert len(server.bodies) == 6
    assert server.bodies[-1].keys() & {"return_progress", "stream_options", "top_k", "repeat_penalty"} == set()
    assert server.bodies[-1]["repetition_penalty"] == 1.05
    assert server.bodies[-1]["temperature"] == 0.7


async def test_a_server_that_does_not_say_what_it_dislikes(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, server = await serve({"text": "done"}, rejects=("return_progress", "top_k"), silent_rejects=True)
    backend = connect(url, "m")
    _, message = await collect(backend, Request("s", question.history, (), Sampling(top_k=20)))
    assert message.text == "done"
    assert len(server.bodies) == 2


async def test_required_becomes_auto_where_it_is_refused(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    refusal = {"status": 400, "body": {"error": {"message": 'tool_choice "required" is not supported'}}}
    url, server = await serve(refusal, {"text": "one"}, {"text": "two"})
    backend = connect(url, "m")
    request = Request("s", question.history, question.tools, tool_choice="required")
    await collect(backend, request)
    await collect(backend, request)
    assert [body["tool_choice"] for body in server.bodies] == ["required", "auto", "auto"]


async def test_vllm_without_a_tool_parser_still_gets_the_tools_and_its_calls_are_read(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    said = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    url, server = await serve(
        {"status": 400, "body": {"object": "error", "message": said, "code": 400}}, {"text": CALL}
    )
    backend = connect(url, "m")
    _, message = await collect(backend)
    assert [body["tool_choice"] for body in server.bodies] == ["auto", "none"]
    assert server.bodies[1]["tools"]
    assert message.tool_calls[0].arguments == {"command": "ls -l"}


async def test_an_answer_is_made_shorter_where_the_prompt_leaves_less_room(
    serve: Serve, connect: Connect, collect: Collect
) -> None:
    said = (
        "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 8192 "
        "tokens and your request has 7000 input tokens (4096 > 8192 - 7000). (parameter=max_tokens, value=4096)"
    )
    url, server = await serve({"status": 400, "body": {"error": {"message": said}}}, {"text": "one"}, {"text": "two"})
    backend = connect(url, "m")
    await collect(backend)
    await collect(backend)
    assert [body["max_tokens"] for body in server.bodies] == [4096, 1192, 4096]


async def test_a_prompt_that_leaves_no_room_is_an_overflow(failure: Failure) -> None:
    said = (
        "This model's maximum context length is 8192 tokens. However, you requested 12196 tokens (8100 in the "
        "messages, 4096 in the completion)."
    )
    error = await failure({"status": 400, "body": {"error": {"message": said}}})
    assert isinstance(error, ContextOverflow)


async def test_max_tokens_by_its_newer_name(serve: Serve, connect: Connect, collect: Collect) -> None:
    said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    url, server = await serve({"status": 400, "body": {"error": {"message": said}}}, {"text": "one"}, {"text": "two"})
    backend = connect(url, "m")
    await collect(backend)
    await collect(backend)
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 4096, 4096]
