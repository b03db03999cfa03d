"""Holding a server's answers to the form of a call: what is sent, and what a refusal leads to."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from qcode.backends.openai_compat import OpenAIBackend
from qcode.messages import Assistant
from qcode.model import Delta, Request
from qcode_tools.spec import Effect, ToolSpec

Serve = Callable[..., Awaitable[tuple[str, Any]]]
Connect = Callable[..., OpenAIBackend]
Collect = Callable[..., Awaitable[tuple[list[Delta], Assistant]]]

VLLM = {"/v1/models": (200, {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 32768}]})}
LLAMA = {"/v1/models": (200, {"data": [{"id": "m", "owned_by": "llamacpp"}]})}
FINISH = ToolSpec("finish", "End.", {"type": "object", "properties": {"summary": {"type": "string"}}}, Effect.READ)


def strings(form: Any) -> set[str]:
    """All strings that stand in a structural tag."""
    match form:
        case str():
            return {form}
        case dict():
            return set().union(*map(strings, form.values()))
        case list():
            return set().union(*map(strings, form))
        case _:
            return set()


async def test_vllm_is_given_the_form_of_a_call(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, server = await serve(routes=VLLM)
    backend = connect(url, "m")
    await collect(backend, replace(question, tool_choice="required"))
    sent = server.bodies[-1]
    assert sent["response_format"]["type"] == "structural_tag"
    assert {"<tool_call>\n", "<function=bash>\n", "<parameter=command>"} <= strings(sent["response_format"])
    # vLLM's own "required" leaves no room for a reason.
    assert sent["tool_choice"] == "auto"
    assert backend.info.details["constraint"] == "structural tags"


async def test_only_what_a_request_leaves_open_may_be_written(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, server = await serve(routes=VLLM)
    request = replace(
        question,
        tools=(*question.tools, FINISH),
        tool_choice="required",
        choices={"bash": {"command": ("make test", "ls")}},
        withheld=frozenset({"finish"}),
    )
    await collect(connect(url, "m"), request)
    form = strings(server.bodies[-1]["response_format"])
    assert {"make test", "ls"} <= form
    assert "<function=finish>\n" not in form
    # What the model is shown stays as it was: it is the prompt's beginning.
    assert [tool["function"]["name"] for tool in server.bodies[-1]["tools"]] == ["bash", "finish"]
    assert "make test" not in str(server.bodies[-1]["tools"])


async def test_a_server_that_refuses_is_asked_once(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    refusal = {"status": 400, "body": {"error": {"message": "Invalid response_format structural_tag specification."}}}
    url, server = await serve(refusal, {"text": "one"}, {"text": "two"}, routes=VLLM)
    backend = connect(url, "m")
    request = replace(question, tool_choice="required")
    texts = [(await collect(backend, request))[1].text for _ in range(2)]
    assert texts == ["one", "two"]
    assert ["response_format" in body for body in server.bodies] == [True, False, False]
    assert server.bodies[-1]["tool_choice"] == "required"
    assert "refused" in backend.info.details["constraint"]


async def test_a_server_that_does_not_say_why_it_refuses(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, server = await serve({"text": "done"}, routes=VLLM, rejects=("response_format",), silent_rejects=True)
    _, message = await collect(connect(url, "m"), question)
    assert message.text == "done"
    assert "response_format" not in server.bodies[-1]


async def test_a_server_without_a_tool_parser_keeps_the_form(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    refusal = {"status": 400, "body": {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}}}
    url, server = await serve(refusal, {"text": "done"}, routes=VLLM)
    await collect(connect(url, "m"), question)
    assert server.bodies[-1]["tool_choice"] == "none"
    assert "response_format" in server.bodies[-1]


async def test_other_servers_are_not_asked(question: Request, serve: Serve, connect: Connect, collect: Collect) -> None:
    for routes in ({}, LLAMA):
        url, server = await serve(routes=routes)
        backend = connect(url, "m")
        await collect(backend, replace(question, tool_choice="required"))
        assert "response_format" not in server.bodies[-1]
        assert backend.info.details["constraint"] == "tool_choice required"


async def test_constraining_can_be_switched_off(
    question: Request, serve: Serve, connect: Connect, collect: Collect
) -> None:
    url, server = await serve(routes=VLLM)
    backend = connect(url, "m", constrain=False)
    await collect(backend, replace(question, tool_choice="required"))
    assert "response_format" not in server.bodies[-1]
    assert server.bodies[-1]["tool_choice"] == "auto"
    assert backend.info.details["constraint"] == "off"
