"""An answer that is stopped: what is complete of it stays, the model writes no further, and its tokens are counted."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import come_about

from qcode.backends.openai_compat.payload import messages
from qcode.backends.scripted import ScriptedBackend
from qcode.codec import render
from qcode.deltas import ArgumentDone
from qcode.messages import Assistant, Stop, Tool, ToolCall, Usage
from qcode.model import Backend, Delta, Request
from qcode_tools.result import Status, ToolResult

REST = "10000000000000000000000000000000000000000000000000000000"
TEXT = (
    "I look.\n\n<tool_call>\n<function=bash>\n<parameter=command>\nls -l\n</parameter>\n<parameter=timeout>\n"
    f"{REST}\n</parameter>\n</function>\n</tool_call>"
)
WHOLE = json.dumps({"command": "ls -l", "timeout": int(REST)})
STOPPED = ToolCall(id="call_1", name="bash", arguments={"command": "ls -l"})


async def stopped(
    backend: Backend, request: Request, *, after: Callable[[Delta], bool] = lambda item: isinstance(item, ArgumentDone)
) -> Assistant:
    """The answer of a backend that is asked to stop after such a delta."""
    seen: list[Delta] = []
    request = replace(request, stopped=lambda: any(map(after, seen)))
    async for item in backend.stream(request):
        if isinstance(item, Assistant):
            assert len([delta for delta in seen if after(delta)]) == 1, "nothing comes behind the stop"
            return item
        seen.append(item)
    pytest.fail("no answer came")


def pieces(arguments: str, *, id: str = "abc", index: int = 0, size: int = 3) -> list[dict[str, Any]]:
    """The chunks of a call as a server sends one that it parsed."""
    head = {"index": index, "id": id, "type": "function", "function": {"name": "bash", "arguments": ""}}
    parts = [
        {"index": index, "function": {"arguments": arguments[start : start + size]}}
        for start in range(0, len(arguments), size)
    ]
    return [chunk({"tool_calls": [part]}) for part in [head, *parts]]


def chunk(delta: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


async def test_a_script_stops_and_counts_the_share_that_it_gave(tmp_path: Path, question: Request) -> None:
    script = tmp_path / "s.jsonl"
    line = {"text": TEXT, "chunk": 1, "usage": {"prompt_tokens": 9, "completion_tokens": len(TEXT)}}
    script.write_text(json.dumps(line), encoding="utf-8")
    message = await stopped(ScriptedBackend(script), question)
    given = TEXT.index("<parameter=timeout>") + len("<parameter=timeout>")
    assert message == Assistant(
        text=message.text,
        tool_calls=(STOPPED,),
        stop=Stop.CANCELLED,
        usage=Usage(prompt_tokens=9, completion_tokens=given, requests=1, stopped_calls=1),
    )
    assert message.text.strip() == "I look."


async def test_a_server_is_hung_up_on(serve: Any, connect: Any, question: Request) -> None:
    url, server = await serve({"text": TEXT, "chunk": 1, "hang_s": [len(TEXT) - 30, 600]})
    message = await stopped(connect(url, "m"), question)
    assert (message.tool_calls, message.stop, message.problems) == ((STOPPED,), Stop.CANCELLED, ())
    assert message.text.strip() == "I look."
    assert message.usage.completion_tokens < len(TEXT) - 30
    assert message.usage.stopped_calls == 1
    await come_about(lambda: server.hung_up == 1)


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_call_that_the_server_parses_is_known_while_it_comes(
    serve: Any, connect: Any, question: Request, size: int
) -> None:
    chunks = [chunk({"content": "I look."}), *pieces(WHOLE, size=size)]
    url, _ = await serve({"chunks": chunks, "hang_s": [len(chunks), 600]})
    message = await stopped(connect(url, "m"), question, after=lambda item: item == COMMAND_DONE)
    (call,) = message.tool_calls
    assert (call.id, call.name) == ("abc", "bash")
    # A server that sends all arguments in one piece leaves nothing to stop, and they count.
    assert call.arguments == (STOPPED.arguments if size < 1000 else json.loads(WHOLE))
    assert message.usage.stopped_calls == (size < 1000)
    assert message.usage.completion_tokens > 0


COMMAND_DONE = ArgumentDone(index=0, argument="command", value="ls -l")


async def test_the_last_call_is_the_one_that_is_cut(serve: Any, connect: Any, question: Request) -> None:
    broken = pieces('{"command": "date", "timeout": }', id="two", index=1)
    chunks = [*pieces('{"command": "pwd"}', id="one"), *broken, *pieces(WHOLE, id="three", index=2)]
    url, _ = await serve({"chunks": chunks, "hang_s": [len(chunks), 600]})
    message = await stopped(
        connect(url, "m"), question, after=lambda item: isinstance(item, ArgumentDone) and item.value == "ls -l"
    )
    assert [(call.id, call.arguments) for call in message.tool_calls] == [
        ("one", {"command": "pwd"}),
        ("three", {"command": "ls -l"}),
    ]
    (problem,) = message.problems
    assert problem.startswith("The arguments of bash cannot be used")
    assert message.usage.stopped_calls == 1


async def test_usage_that_a_server_tells_with_every_chunk_counts(serve: Any, connect: Any, question: Request) -> None:
    chunks = [
        part | {"usage": {"prompt_tokens": 50, "completion_tokens": 100 + number}}
        for number, part in enumerate(pieces(WHOLE))
    ]
    url, _ = await serve({"chunks": chunks, "hang_s": [len(chunks), 600]})
    message = await stopped(connect(url, "m"), question, after=lambda item: item == COMMAND_DONE)
    assert message.usage.prompt_tokens == 50
    assert 100 < message.usage.completion_tokens < 100 + len(chunks)


async def test_vllm_is_asked_for_it(serve: Any, connect: Any, question: Request) -> None:
    models = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 32768}]}
    chunks = [part | {"usage": {"prompt_tokens": 50, "completion_tokens": 1}} for part in pieces(WHOLE)]
    url, server = await serve({"chunks": chunks, "hang_s": [len(chunks), 600]}, routes={"/v1/models": (200, models)})
    backend = connect(url, "m")
    await backend.ready()
    message = await stopped(backend, question, after=lambda item: item == COMMAND_DONE)
    assert server.bodies[0]["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    # How much of it was cached is not known, which is not the same as nothing.
    assert (message.usage.prompt_tokens, message.usage.cache_untold) == (50, 1)
    await come_about(lambda: server.hung_up == 1)


async def test_the_prompt_that_a_server_said_it_reads_counts(serve: Any, connect: Any, question: Request) -> None:
    reading = {"choices": [], "prompt_progress": {"total": 70, "cache": 60, "processed": 70}}
    chunks = [reading, *pieces(WHOLE)]
    url, _ = await serve({"chunks": chunks, "hang_s": [len(chunks), 600]})
    message = await stopped(connect(url, "m"), question, after=lambda item: item == COMMAND_DONE)
    assert (message.usage.prompt_tokens, message.usage.cached_tokens) == (70, 60)
    assert message.usage.completion_tokens > 0


def test_what_is_left_is_well_formed_in_both_histories(question: Request) -> None:
    cut = Assistant(text="I look.", tool_calls=(STOPPED.model_copy(update={"arguments": {}}),), stop=Stop.CANCELLED)
    result = ToolResult(call_id="call_1", name="bash", status=Status.ERROR, content="no")
    request = replace(question, history=(*question.history, cut, Tool(result=result)))
    prompt = render(request.system, request.history, request.tools)
    assert "I look.\n\n<tool_call>\n<function=bash>\n</function>\n</tool_call><|im_end|>\n" in prompt
    asked, answered = messages(request)[-2:]
    assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {}
    assert answered == {"role": "tool", "tool_call_id": "call_1", "content": "no"}
