"""Answers in every form that servers send, read from a server on a socket."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qcode.backends.openai_compat import OpenAIBackend
from qcode.deltas import PrefillProgress, TextDelta, ThinkingDelta, ToolCallDelta
from qcode.messages import Assistant, Stop, Tool, ToolCall, Usage, User
from qcode.model import Delta, Request
from qcode_tools.result import Status, ToolResult

Serve = Callable[..., Awaitable[tuple[str, Any]]]
Connect = Callable[..., OpenAIBackend]
Collect = Callable[..., Awaitable[tuple[list[Delta], Assistant]]]
Ask = Callable[..., Awaitable[Assistant]]

CALL = "I look.\n\n<tool_call>\n<function=bash>\n<parameter=command>\nls -l\n</parameter>\n</function>\n</tool_call>"


async def test_text_comes_in_pieces_and_as_a_whole(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, server = await serve({"text": "Hello there", "chunk": 3})
    backend = connect(url, "m")
    deltas, message = await collect(backend)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Hello there"
    assert len(deltas) > 1
    assert (message.text, message.stop, message.tool_calls) == ("Hello there", Stop.END, ())
    assert message.usage == Usage(prompt_tokens=7, completion_tokens=3, requests=1, cache_untold=1)
    assert server.bodies[0]["messages"][0] == {"role": "system", "content": "Be good."}


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
@pytest.mark.parametrize("cut", [1, 5, 4096])
async def test_a_call_left_in_the_text_is_found_however_it_is_cut(ask: Ask, chunk: int, cut: int) -> None:
    message = await ask({"text": CALL, "chunk": chunk, "cut": cut})
    assert message.text.strip() == "I look."
    assert message.tool_calls == (ToolCall(id="call_1", name="bash", arguments={"command": "ls -l"}),)
    assert message.stop is Stop.TOOL_CALLS


async def test_what_had_to_be_repaired_is_kept_as_it_was_written(ask: Ask) -> None:
    slipped = CALL.replace("<parameter=command>", "<parameter>command>")
    assert (await ask({"text": CALL, "chunk": 5})).written == ""
    message = await ask({"text": slipped, "chunk": 5})
    assert message.tool_calls == (ToolCall(id="call_1", name="bash", arguments={"command": "ls -l"}),)
    assert message.written == slipped


async def test_a_call_that_the_server_parsed(serve: Serve, connect: Connect, collect: Collect) -> None:
    url, _ = await serve(
        {"text": "I look.", "calls": [{"id": "abc", "name": "bash", "arguments": '{"command": "ls -l"}'}]}
    )
    backend = connect(url, "m")
    deltas, message = await collect(backend)
    assert message.tool_calls == (ToolCall(id="abc", name="bash", arguments={"command": "ls -l"}),)
    assert (message.text, message.stop) == ("I look.", Stop.TOOL_CALLS)
    calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert calls[0] == ToolCallDelta(index=0, name="bash")
    assert "".join(delta.text for delta in calls if delta.argument == "command") == "ls -l"


@pytest.mark.parametrize("chunk", [1, 5, 1000])
@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("<tool_call>\n", ""),
        ("I look.\n\n<tool_call>\n", "I look."),
        ("I look<tool_call>", "I look"),
        ("I look.\n<tool_call>\n<tool_call>\n", "I look."),
        ("<tool_call> opens it, as in a <", "<tool_call> opens it, as in a <"),
    ],
)
async def test_the_opening_tag_of_a_call_that_the_server_parsed_is_no_text(
    serve: Serve, connect: Connect, collect: Collect, words: str, left: str, chunk: int
) -> None:
    """vLLM leaves it where the model spells the tag in other tokens than its own."""
    call = {"id": "abc", "name": "bash", "arguments": '{"command": "ls -l"}'}
    url, _ = await serve({"text": words, "chunk": chunk, "calls": [call]})
    deltas, message = await collect(connect(url, "m"))
    assert message.text.strip() == left
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)).strip() == left
    assert message.tool_calls == (ToolCall(id="abc", name="bash", arguments={"command": "ls -l"}),)
    assert message.problems == ()


@pytest.mark.parametrize(
    ("arguments", "decoded"),
    [
        ({"command": "ls"}, {"command": "ls"}),
        ('"{\\"command\\": \\"ls\\"}"', {"command": "ls"}),
        ('{"command": "a\nb"}', {"command": "a\nb"}),
        ('{"command": "ls", "timeout": "60", "quiet": "True"}', {"command": "ls", "timeout": 60, "quiet": True}),
        ('{"command": "60", "timeout": "soon"}', {"command": "60", "timeout": "soon"}),
        ('{"command": "ls", "timeout": NaN}', {"command": "ls", "timeout": "NaN"}),
        ("", {}),
        ("null", {}),
    ],
)
async def test_arguments_in_every_form_that_servers_send(ask: Ask, arguments: object, decoded: object) -> None:
    message = await ask({"calls": [{"name": "bash", "arguments": arguments}]})
    assert [call.arguments for call in message.tool_calls] == [decoded]
    assert message.problems == ()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"name": "bash", "arguments": '{"command": "ls'}, "not valid JSON"),
        ({"name": "bash", "arguments": '["ls"]'}, "array"),
        ({"name": "bash", "arguments": "[" * 100_000}, "not valid JSON"),
        ({"name": "bash", "arguments": '{"n": ' + "9" * 5000 + "}"}, "not valid JSON"),
        ({"name": "", "arguments": "{}"}, "without a name"),
        ({"name": None, "arguments": "{}"}, "without a name"),
    ],
)
async def test_a_call_that_cannot_be_understood_is_told_to_the_model(
    question: Request, ask: Ask, call: object, words: str
) -> None:
    message = await ask({"text": "I look.", "calls": [call]})
    assert message.tool_calls == ()
    assert message.text == "I look."
    assert len(message.problems) == 1
    assert words in message.problems[0]
    # The history that follows is one that a server accepts: nothing of the bad call is in it.
    again = await ask({"text": "sorry"}, request=Request("s", (*question.history, message, User(text="Again."))))
    assert again.text == "sorry"


async def test_characters_that_come_in_halves_or_not_at_all(ask: Ask, question: Request) -> None:
    chunks = [{"choices": [{"delta": {"content": half}}]} for half in ("a\ud83d", "\ude00b", "c\ud83d", "d", "\ud83d")]
    call = {"index": 0, "function": {"name": "bash", "arguments": '{"command": "\\ud800 \\ud83d\\ude00"}'}}
    chunks += [{"choices": [{"delta": {"reasoning": "\ud800", "tool_calls": [call]}, "finish_reason": "stop"}]}]
    message = await ask({"chunks": [json.dumps(chunk) for chunk in chunks]})
    assert message.text == "a\U0001f600bc\ufffdd\ufffd"
    assert message.thinking == "\ufffd"
    assert message.tool_calls[0].arguments == {"command": "\ufffd \U0001f600"}
    assert Assistant.model_validate_json(message.model_dump_json()) == message


async def test_one_call_parsed_and_another_left_in_the_text(ask: Ask) -> None:
    message = await ask({"text": CALL, "calls": [{"name": "bash", "arguments": '{"command": "pwd"}'}]})
    assert [call.arguments["command"] for call in message.tool_calls] == ["ls -l", "pwd"]


async def test_a_call_that_is_parsed_and_left_in_the_text_is_made_once(ask: Ask) -> None:
    message = await ask({"text": CALL, "calls": [{"name": "bash", "arguments": '{"command": "ls -l"}'}]})
    assert [call.id for call in message.tool_calls] == ["server_0"]


async def test_two_calls_with_the_same_id_become_two_calls_with_two_ids(question: Request, ask: Ask) -> None:
    calls = [{"id": "x", "name": "bash", "arguments": json.dumps({"command": name})} for name in ("one", "two")]
    first = await ask({"calls": calls})
    assert len({call.id for call in first.tool_calls}) == 2
    results = [
        Tool(result=ToolResult(call_id=c.id, name="bash", status=Status.OK, content="")) for c in first.tool_calls
    ]
    second = await ask({"calls": calls[:1]}, request=Request("s", (*question.history, first, *results)))
    assert second.tool_calls[0].id not in {call.id for call in first.tool_calls}


async def test_calls_that_all_have_index_0_are_told_apart_by_their_ids(ask: Ask) -> None:
    def chunk(id: str, command: str) -> dict[str, Any]:
        function = {"name": "bash", "arguments": json.dumps({"command": command})}
        return {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": id, "function": function}]}}]}

    end = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
    message = await ask({"chunks": [chunk("a", "one"), chunk("b", "two"), end]})
    assert [call.arguments["command"] for call in message.tool_calls] == ["one", "two"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thinking_is_kept_apart(serve: Serve, connect: Connect, collect: Collect, field: str) -> None:
    chunks = [
        {"choices": [{"delta": {field: "Hm, "}}]},
        {"choices": [{"delta": {field: "well."}}]},
        {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]},
    ]
    url, _ = await serve({"chunks": chunks})
    backend = connect(url, "m")
    deltas, message = await collect(backend)
    assert deltas[:2] == [ThinkingDelta(text="Hm, "), ThinkingDelta(text="well.")]
    assert (message.thinking, message.text) == ("Hm, well.", "Yes.")


async def test_progress_of_the_prompt_is_passed_on(serve: Serve, connect: Connect, collect: Collect) -> None:
    progress = {"choices": [], "prompt_progress": {"total": 900, "cache": 100, "processed": 500, "time_ms": 9}}
    url, _ = await serve({"chunks": [progress, {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}]})
    backend = connect(url, "m")
    deltas, _ = await collect(backend)
    assert deltas[0] == PrefillProgress(processed=500, total=900, cached=100)


async def test_an_answer_at_its_length_limit_says_so(ask: Ask) -> None:
    message = await ask({"text": CALL[:-40], "finish": "length"})
    assert message.stop is Stop.LENGTH
    assert message.tool_calls == ()


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 90, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 80}}, 80),
        ({"prompt_tokens": 90, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 0}}, 0),
        ({"prompt_tokens": 90, "completion_tokens": 5, "prompt_tokens_details": None}, None),
        ({"prompt_tokens": 90, "completion_tokens": 5, "prompt_cache_hit_tokens": 64}, 64),
    ],
)
async def test_usage_tells_what_was_cached_or_that_nobody_knows(
    ask: Ask, usage: dict[str, Any], cached: int | None
) -> None:
    message = await ask({"text": "x", "usage": usage})
    known = Usage(prompt_tokens=90, cached_tokens=cached or 0, completion_tokens=5, requests=1)
    assert message.usage == known.model_copy(update={"cache_untold": int(cached is None)})


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": "many", "completion_tokens": -1}, {}])
async def test_a_server_that_does_not_count_costs_nothing(ask: Ask, usage: object) -> None:
    message = await ask({"text": "x", "usage": usage})
    assert message.usage == Usage(requests=1)


async def test_nonsense_in_every_field_of_a_chunk_does_no_harm(ask: Ask) -> None:
    nonsense: list[Any] = [None, 5, "x", [], {}, [1], {"a": 1}, [{"a": []}], True, -1]
    chunks: list[Any] = [{"choices": thing} for thing in nonsense] + [{"usage": thing} for thing in nonsense]
    chunks += [{"choices": [{"delta": thing}]} for thing in nonsense]
    chunks += [
        {"choices": [{"delta": {"tool_calls": [thing]}}]} for thing in nonsense if thing != {"a": 1} and thing != {}
    ]
    chunks += [{"choices": [{"delta": {"content": thing}}]} for thing in nonsense if thing != "x"]
    chunks += [{"prompt_progress": thing, "timings": thing} for thing in nonsense]
    chunks += [{"choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}]}]
    message = await ask({"chunks": chunks})
    assert (message.text, message.tool_calls) == ("fine", ())
