"""The backend against a server on a socket: answers in every form that servers send, and every way to fail."""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from qcode.backends.openai_compat import OpenAIBackend, Timeouts
from qcode.backends.retry import AT_ONCE, RetryPolicy
from qcode.errors import (
    BackendError,
    ConfigError,
    ContextOverflow,
    Malformed,
    Overloaded,
    Refused,
    Unavailable,
)
from qcode.events import PrefillProgress, Retrying, TextDelta, ThinkingDelta, ToolCallDelta
from qcode.messages import Assistant, Stop, Tool, ToolCall, Usage, User
from qcode.model import Delta, Request, Sampling
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, ToolSpec

Serve = Callable[..., Awaitable[tuple[str, Any]]]

ONCE = RetryPolicy(waits_s=(), overloaded_waits_s=())
BASH = ToolSpec(
    "bash",
    "Run it.",
    {
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout": {"type": "integer"}, "quiet": {"type": "boolean"}},
        "required": ["command"],
    },
    Effect.EXEC,
)
ASK = Request("Be good.", (User(text="List the files."),), (BASH,))
CALL = "I look.\n\n<tool_call>\n<function=bash>\n<parameter=command>\nls -l\n</parameter>\n</function>\n</tool_call>"


async def answer(backend: OpenAIBackend, request: Request = ASK) -> tuple[list[Delta], Assistant]:
    """All deltas and the one Assistant, which comes last."""
    async with aclosing(backend.stream(request)) as stream:
        items = [item async for item in stream]
    assert isinstance(items[-1], Assistant)
    deltas = [item for item in items if not isinstance(item, Assistant)]
    assert len(deltas) == len(items) - 1
    return deltas, items[-1]


async def ask(serve: Serve, *replies: dict[str, Any], request: Request = ASK, **options: Any) -> Assistant:
    url, _ = await serve(*replies, **options)
    backend = OpenAIBackend(url, "m", retry=ONCE)
    try:
        return (await answer(backend, request))[1]
    finally:
        await backend.aclose()


async def failure(serve: Serve, *replies: dict[str, Any], timeouts: Timeouts | None = None) -> BackendError:
    url, _ = await serve(*replies)
    backend = OpenAIBackend(url, "m", retry=ONCE, timeouts=timeouts)
    with pytest.raises(BackendError) as caught:
        await answer(backend)
    await backend.aclose()
    assert str(caught.value).isprintable()
    return caught.value


# Answers


async def test_text_comes_in_pieces_and_as_a_whole(serve: Serve) -> None:
    url, server = await serve({"text": "Hello there", "chunk": 3})
    backend = OpenAIBackend(url, "m")
    deltas, message = await answer(backend)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Hello there"
    assert len(deltas) > 1
    assert (message.text, message.stop, message.tool_calls) == ("Hello there", Stop.END, ())
    assert message.usage == Usage(prompt_tokens=7, completion_tokens=3, requests=1)
    assert server.bodies[0]["messages"][0] == {"role": "system", "content": "Be good."}
    await backend.aclose()


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
@pytest.mark.parametrize("cut", [1, 5, 4096])
async def test_a_call_left_in_the_text_is_found_however_it_is_cut(serve: Serve, chunk: int, cut: int) -> None:
    message = await ask(serve, {"text": CALL, "chunk": chunk, "cut": cut})
    assert message.text.strip() == "I look."
    assert message.tool_calls == (ToolCall(id="call_1", name="bash", arguments={"command": "ls -l"}),)
    assert message.stop is Stop.TOOL_CALLS


async def test_a_call_that_the_server_parsed(serve: Serve) -> None:
    url, _ = await serve(
        {"text": "I look.", "calls": [{"id": "abc", "name": "bash", "arguments": '{"command": "ls -l"}'}]}
    )
    backend = OpenAIBackend(url, "m")
    deltas, message = await answer(backend)
    assert message.tool_calls == (ToolCall(id="abc", name="bash", arguments={"command": "ls -l"}),)
    assert (message.text, message.stop) == ("I look.", Stop.TOOL_CALLS)
    calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert calls[0] == ToolCallDelta(index=0, name="bash")
    assert "".join(delta.text for delta in calls) == '{"command": "ls -l"}'
    await backend.aclose()


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
async def test_arguments_in_every_form_that_servers_send(serve: Serve, arguments: object, decoded: object) -> None:
    message = await ask(serve, {"calls": [{"name": "bash", "arguments": arguments}]})
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
async def test_a_call_that_cannot_be_understood_is_told_to_the_model(serve: Serve, call: object, words: str) -> None:
    message = await ask(serve, {"text": "I look.", "calls": [call]})
    assert message.tool_calls == ()
    assert message.text == "I look."
    assert len(message.problems) == 1
    assert words in message.problems[0]
    # The history that follows is one that a server accepts: nothing of the bad call is in it.
    again = await ask(serve, {"text": "sorry"}, request=Request("s", (*ASK.history, message, User(text="Again."))))
    assert again.text == "sorry"


async def test_one_call_parsed_and_another_left_in_the_text(serve: Serve) -> None:
    message = await ask(serve, {"text": CALL, "calls": [{"name": "bash", "arguments": '{"command": "pwd"}'}]})
    assert [call.arguments["command"] for call in message.tool_calls] == ["ls -l", "pwd"]


async def test_a_call_that_is_parsed_and_left_in_the_text_is_made_once(serve: Serve) -> None:
    message = await ask(serve, {"text": CALL, "calls": [{"name": "bash", "arguments": '{"command": "ls -l"}'}]})
    assert [call.id for call in message.tool_calls] == ["server_0"]


async def test_two_calls_with_the_same_id_become_two_calls_with_two_ids(serve: Serve) -> None:
    calls = [{"id": "x", "name": "bash", "arguments": json.dumps({"command": name})} for name in ("one", "two")]
    first = await ask(serve, {"calls": calls})
    assert len({call.id for call in first.tool_calls}) == 2
    results = [
        Tool(result=ToolResult(call_id=c.id, name="bash", status=Status.OK, content="")) for c in first.tool_calls
    ]
    second = await ask(serve, {"calls": calls[:1]}, request=Request("s", (*ASK.history, first, *results)))
    assert second.tool_calls[0].id not in {call.id for call in first.tool_calls}


async def test_calls_that_all_have_index_0_are_told_apart_by_their_ids(serve: Serve) -> None:
    def chunk(id: str, command: str) -> dict[str, Any]:
        function = {"name": "bash", "arguments": json.dumps({"command": command})}
        return {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": id, "function": function}]}}]}

    end = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
    message = await ask(serve, {"chunks": [chunk("a", "one"), chunk("b", "two"), end]})
    assert [call.arguments["command"] for call in message.tool_calls] == ["one", "two"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thinking_is_kept_apart(serve: Serve, field: str) -> None:
    chunks = [
        {"choices": [{"delta": {field: "Hm, "}}]},
        {"choices": [{"delta": {field: "well."}}]},
        {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]},
    ]
    url, _ = await serve({"chunks": chunks})
    backend = OpenAIBackend(url, "m")
    deltas, message = await answer(backend)
    assert deltas[:2] == [ThinkingDelta(text="Hm, "), ThinkingDelta(text="well.")]
    assert (message.thinking, message.text) == ("Hm, well.", "Yes.")
    await backend.aclose()


async def test_progress_of_the_prompt_is_passed_on(serve: Serve) -> None:
    progress = {"choices": [], "prompt_progress": {"total": 900, "cache": 100, "processed": 500, "time_ms": 9}}
    url, _ = await serve({"chunks": [progress, {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}]})
    backend = OpenAIBackend(url, "m")
    deltas, _ = await answer(backend)
    assert deltas[0] == PrefillProgress(processed=500, total=900, cached=100)
    await backend.aclose()


async def test_an_answer_at_its_length_limit_says_so(serve: Serve) -> None:
    message = await ask(serve, {"text": CALL[:-40], "finish": "length"})
    assert message.stop is Stop.LENGTH
    assert message.tool_calls == ()


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 90, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 80}}, 80),
        ({"prompt_tokens": 90, "completion_tokens": 5, "prompt_tokens_details": None}, 0),
        ({"prompt_tokens": 90, "completion_tokens": 5, "prompt_cache_hit_tokens": 64}, 64),
    ],
)
async def test_usage_with_cached_tokens(serve: Serve, usage: dict[str, Any], cached: int) -> None:
    message = await ask(serve, {"text": "x", "usage": usage})
    assert message.usage == Usage(prompt_tokens=90, cached_tokens=cached, completion_tokens=5, requests=1)


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": "many", "completion_tokens": -1}, {}])
async def test_a_server_that_does_not_count_costs_nothing(serve: Serve, usage: object) -> None:
    message = await ask(serve, {"text": "x", "usage": usage})
    assert message.usage == Usage(requests=1)


async def test_nonsense_in_every_field_of_a_chunk_does_no_harm(serve: Serve) -> None:
    nonsense: list[Any] = [None, 5, "x", [], {}, [1], {"a": 1}, [{"a": []}], True, -1]
    chunks: list[Any] = [{"choices": thing} for thing in nonsense] + [{"usage": thing} for thing in nonsense]
    chunks += [{"choices": [{"delta": thing}]} for thing in nonsense]
    chunks += [
        {"choices": [{"delta": {"tool_calls": [thing]}}]} for thing in nonsense if thing != {"a": 1} and thing != {}
    ]
    chunks += [{"choices": [{"delta": {"content": thing}}]} for thing in nonsense if thing != "x"]
    chunks += [{"prompt_progress": thing, "timings": thing} for thing in nonsense]
    chunks += [{"choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}]}]
    message = await ask(serve, {"chunks": chunks})
    assert (message.text, message.tool_calls) == ("fine", ())


# What the server will not be sent


async def test_fields_that_a_server_refuses_are_left_out_from_then_on(serve: Serve) -> None:
    url, server = await serve(
        {"text": "done"}, rejects=("return_progress", "stream_options", "top_k", "repeat_penalty")
    )
    backend = OpenAIBackend(url, "m", retry=ONCE)
    sampling = Sampling(top_k=20, repetition_penalty=1.05, temperature=0.7)
    for _ in range(2):
        _, message = await answer(backend, Request("s", ASK.history, (BASH,), sampling))
        assert message.text == "done"
    assert len(server.bodies) == 6
    assert server.bodies[-1].keys() & {"return_progress", "stream_options", "top_k", "repeat_penalty"} == set()
    assert server.bodies[-1]["repetition_penalty"] == 1.05
    assert server.bodies[-1]["temperature"] == 0.7
    await backend.aclose()


async def test_a_server_that_does_not_say_what_it_dislikes(serve: Serve) -> None:
    url, server = await serve({"text": "done"}, rejects=("return_progress", "top_k"), silent_rejects=True)
    backend = OpenAIBackend(url, "m", retry=ONCE)
    _, message = await answer(backend, Request("s", ASK.history, (), Sampling(top_k=20)))
    assert message.text == "done"
    assert len(server.bodies) == 2
    await backend.aclose()


async def test_required_becomes_auto_where_it_is_refused(serve: Serve) -> None:
    refusal = {"status": 400, "body": {"error": {"message": 'tool_choice "required" is not supported'}}}
    url, server = await serve(refusal, {"text": "one"}, {"text": "two"})
    backend = OpenAIBackend(url, "m", retry=ONCE)
    request = Request("s", ASK.history, (BASH,), tool_choice="required")
    await answer(backend, request)
    await answer(backend, request)
    assert [body["tool_choice"] for body in server.bodies] == ["required", "auto", "auto"]
    await backend.aclose()


async def test_vllm_without_a_tool_parser_still_gets_the_tools_and_its_calls_are_read(serve: Serve) -> None:
    said = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    url, server = await serve(
        {"status": 400, "body": {"object": "error", "message": said, "code": 400}}, {"text": CALL}
    )
    backend = OpenAIBackend(url, "m", retry=ONCE)
    _, message = await answer(backend)
    assert [body["tool_choice"] for body in server.bodies] == ["auto", "none"]
    assert server.bodies[1]["tools"]
    assert message.tool_calls[0].arguments == {"command": "ls -l"}
    await backend.aclose()


async def test_an_answer_is_made_shorter_where_the_prompt_leaves_less_room(serve: Serve) -> None:
    said = (
        "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 8192 "
        "tokens and your request has 7000 input tokens (4096 > 8192 - 7000). (parameter=max_tokens, value=4096)"
    )
    url, server = await serve({"status": 400, "body": {"error": {"message": said}}}, {"text": "one"}, {"text": "two"})
    backend = OpenAIBackend(url, "m", retry=ONCE)
    await answer(backend)
    await answer(backend)
    assert [body["max_tokens"] for body in server.bodies] == [4096, 1192, 4096]
    await backend.aclose()


async def test_a_prompt_that_leaves_no_room_is_an_overflow(serve: Serve) -> None:
    said = (
        "This model's maximum context length is 8192 tokens. However, you requested 12196 tokens (8100 in the "
        "messages, 4096 in the completion)."
    )
    error = await failure(serve, {"status": 400, "body": {"error": {"message": said}}})
    assert isinstance(error, ContextOverflow)


async def test_max_tokens_by_its_newer_name(serve: Serve) -> None:
    said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    url, server = await serve({"status": 400, "body": {"error": {"message": said}}}, {"text": "one"}, {"text": "two"})
    backend = OpenAIBackend(url, "m", retry=ONCE)
    await answer(backend)
    await answer(backend)
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 4096, 4096]
    await backend.aclose()


# Failures


async def test_a_server_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    backend = OpenAIBackend(url, "m", retry=ONCE)
    with pytest.raises(Unavailable, match=f"Nothing answers at {url} .*start the server or check --base-url"):
        await answer(backend)
    await backend.aclose()


async def test_a_host_without_an_address() -> None:
    backend = OpenAIBackend("http://no-such-host.invalid/v1", "m", retry=ONCE)
    with pytest.raises(Unavailable, match=r"no-such-host\.invalid"):
        await answer(backend)
    await backend.aclose()


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ({"status": 500, "body": {"error": {"message": "CUDA out of memory"}}}, Unavailable, "CUDA out of memory"),
        ({"status": 502, "body": "<html><h1>Bad Gateway</h1></html>"}, Unavailable, "Bad Gateway"),
        ({"status": 503, "body": {"error": {"message": "Loading model"}}}, Overloaded, "Loading model"),
        ({"status": 429, "body": {"error": {"message": "slow down"}}}, Overloaded, "slow down"),
        ({"status": 400, "body": {"error": {"message": "tools param requires --jinja flag"}}}, Refused, "--jinja"),
        ({"status": 401, "body": {"error": {"message": "bad key"}}}, Refused, "API key"),
        ({"status": 404, "body": {"error": {"message": "no model m"}}}, Refused, "no model m.*check --model"),
        ({"status": 307, "headers": {"Location": "http://127.0.0.1:9/"}}, Refused, "final address"),
        ({"status": 200, "body": "<p>Hi", "headers": {"Content-Type": "text/html"}}, Malformed, "text/html"),
        ({"status": 500, "body": "x" * 5_000_000}, Unavailable, "xxx"),
        ({"raw": "220 mail ready\r\n\r\n"}, Malformed, "does not answer in HTTP"),
        ({"raw": ""}, Unavailable, "failed"),
        ({"chunks": ["this is not JSON"]}, Malformed, "not a chat completion"),
        ({"chunks": ["[" * 100_000]}, Malformed, "not a chat completion"),
        ({"chunks": [["a", "list"]]}, Malformed, "no object"),
        ({"chunks": [{"error": {"message": "worker died", "code": 500}}]}, Unavailable, "worker died"),
        ({"chunks": [{"error": {"message": "Context size has been exceeded."}}]}, ContextOverflow, "exceeded"),
        ({"chunks": []}, Malformed, "empty stream"),
        ({"text": "half an ans", "finish": None}, Malformed, "without a finish_reason"),
        ({"text": CALL, "chunk": 10, "close_at": 6}, Malformed, "broke off in the middle"),
        ({"calls": [{"name": "bash", "arguments": '{"command": "ls"}'}], "close_at": 2}, Malformed, "broke off"),
        ({"calls": [{"name": "bash", "arguments": '{"command": "ls"}'}], "finish": None}, Malformed, "finish_reason"),
        ({"text": "no", "finish": "content_filter"}, Refused, "filter"),
        ({"text": "no", "finish": "abort"}, Unavailable, "gave up"),
    ],
)  # fmt: skip
async def test_each_failure_has_its_error_and_its_words(
    serve: Serve, reply: dict[str, Any], kind: type[BackendError], words: str
) -> None:
    error = await failure(serve, reply)
    assert type(error) is kind
    assert str(error).startswith(("http://", "The ", "Nothing "))
    assert re.search(words, str(error)), str(error)
    assert len(str(error)) < 500


async def test_a_cut_answer_is_asked_for_again_and_the_first_half_forgotten(serve: Serve) -> None:
    url, server = await serve({"text": CALL, "chunk": 10, "close_at": 6}, {"text": CALL})
    backend = OpenAIBackend(url, "m", retry=AT_ONCE)
    deltas, message = await answer(backend)
    assert [type(delta) for delta in deltas].count(Retrying) == 1
    assert len(message.tool_calls) == 1
    assert server.bodies[0] == server.bodies[1]
    await backend.aclose()


async def test_a_server_that_is_still_loading_is_waited_for(serve: Serve) -> None:
    loading = {"status": 503, "body": {"error": {"message": "Loading model"}}, "headers": {"Retry-After": "0"}}
    url, _ = await serve(loading, loading, loading, loading, {"text": "ready"})
    backend = OpenAIBackend(url, "m", retry=RetryPolicy(overloaded_waits_s=(0.0,) * 9))
    deltas, message = await answer(backend)
    assert [delta.attempt for delta in deltas if isinstance(delta, Retrying)] == [1, 2, 3, 4]
    assert message.text == "ready"
    await backend.aclose()


# Patience


async def test_no_answer_before_the_first_token(serve: Serve) -> None:
    error = await failure(serve, {"text": "x", "hang_s": [-1, 30]}, timeouts=Timeouts(first_token_s=0.2, silence_s=9))
    assert isinstance(error, Unavailable)
    assert "no token within 0.2 s" in str(error)


async def test_headers_and_then_no_token(serve: Serve) -> None:
    error = await failure(serve, {"text": "x", "hang_s": [1, 30]}, timeouts=Timeouts(first_token_s=0.2, silence_s=9))
    assert "no token within 0.2 s" in str(error)


async def test_silence_in_the_middle(serve: Serve) -> None:
    hang = {"text": "abcdef", "chunk": 1, "hang_s": [4, 30]}
    error = await failure(serve, hang, timeouts=Timeouts(first_token_s=30, silence_s=0.2))
    assert isinstance(error, Unavailable)
    assert "silent in the middle of its answer for 0.2 s" in str(error)


async def test_signs_of_life_are_waited_for_beyond_every_limit(serve: Serve) -> None:
    url, _ = await serve({"text": "abcdefghij", "chunk": 1, "comments": 12})
    backend = OpenAIBackend(url, "m", retry=ONCE, timeouts=Timeouts(first_token_s=0.4, silence_s=0.4))
    _, message = await answer(backend)
    assert message.text == "abcdefghij"
    await backend.aclose()


async def test_a_finished_answer_is_not_lost_to_a_missing_usage(serve: Serve) -> None:
    url, _ = await serve({"text": "done", "hang_s": [3, 30]})
    backend = OpenAIBackend(url, "m", retry=ONCE, timeouts=Timeouts(silence_s=0.2))
    _, message = await answer(backend)
    assert (message.text, message.usage) == ("done", Usage(requests=1))
    await backend.aclose()


async def test_a_connection_cut_after_the_end_takes_nothing_away(serve: Serve) -> None:
    message = await ask(serve, {"text": "done", "close_at": 3})
    assert message.text == "done"


async def test_closing_the_stream_hangs_up(serve: Serve) -> None:
    url, server = await serve({"text": "abcdef" * 100, "chunk": 1, "hang_s": [20, 60]})
    backend = OpenAIBackend(url, "m")
    async with aclosing(backend.stream(ASK)) as stream:
        async for _ in stream:
            break
    for _ in range(200):
        if server.hung_up:
            break
        await asyncio.sleep(0.02)
    assert server.hung_up == 1
    await backend.aclose()


async def test_steps_share_one_connection(serve: Serve) -> None:
    url, server = await serve({"text": "done"})
    backend = OpenAIBackend(url, "m")
    for _ in range(3):
        await answer(backend)
    assert server.connections == 1
    await backend.aclose()


# Trust


async def test_nothing_of_the_environment_is_sent(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    url, server = await serve({"text": "done"})
    backend = OpenAIBackend(url, "m", retry=ONCE)
    assert (await answer(backend))[1].text == "done"
    headers = server.requests[0][2]
    assert "secret" not in str(headers)
    assert "authorization" not in headers
    assert not [name for name in headers if name.startswith("x-stainless")]
    assert headers["user-agent"].startswith("qcode/")
    await backend.aclose()


async def test_a_key_is_sent_where_one_is_given(serve: Serve) -> None:
    url, server = await serve({"text": "done"})
    backend = OpenAIBackend(url, "m", api_key="sk-mine")
    await answer(backend)
    assert server.requests[0][2]["authorization"] == "Bearer sk-mine"
    await backend.aclose()


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://x/v1", "http://", "http://a b/v1", "http://u:p@h/v1", "http://[::1"]
)
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="--base-url must look like"):
        OpenAIBackend(url, "m")


# What the server tells about itself


async def test_the_window_of_vllm(serve: Serve) -> None:
    models = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 32768}]}
    url, server = await serve(routes={"/v1/models": (200, models), "/tokenize": (200, {"count": 42, "tokens": [1]})})
    backend = OpenAIBackend(url, "m")
    assert backend.info.context_window is None
    info = await backend.discover()
    assert (info.model, info.engine, info.context_window) == ("m", "vLLM", 32768)
    assert backend.info == info
    assert await backend.count_tokens(ASK) == 42
    body = server.requests[-1][3]
    assert body["messages"][1]["content"] == "List the files."
    assert body["tools"][0]["function"]["name"] == "bash"
    await backend.aclose()


async def test_the_window_of_llama_cpp_is_what_it_runs_with(serve: Serve) -> None:
    models = {"data": [{"id": "/models/q.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 262144}}]}
    routes = {
        "/v1/models": (200, models),
        "/props": (200, {"default_generation_settings": {"n_ctx": 8192}}),
        "/tokenize": (200, {"tokens": []}),
        "/apply-template": (200, {"prompt": "<|im_start|>"}),
    }
    url, _ = await serve(routes=routes)
    backend = OpenAIBackend(url, "anything")
    info = await backend.discover()
    assert (info.model, info.engine, info.context_window) == ("anything", "llama.cpp", 8192)
    await backend.aclose()


async def test_the_only_model_is_taken_without_a_name(serve: Serve) -> None:
    url, server = await serve({"text": "done"}, routes={"/v1/models": (200, {"data": [{"id": "the-one"}]})})
    backend = OpenAIBackend(url, retry=ONCE)
    await answer(backend)
    assert server.bodies[0]["model"] == "the-one"
    assert backend.info.model == "the-one"
    await backend.aclose()


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ({"data": [{"id": "a"}, {"id": "b\x1b[2J"}]}, "2 models: choose one with --model"),
        ({"data": []}, "name one with --model"),
        ("nonsense", "name one with --model"),
        ({"data": [None, 5, {"id": 7}]}, "name one with --model"),
    ],
)
async def test_no_name_and_no_single_model(serve: Serve, models: object, words: str) -> None:
    url, _ = await serve(routes={"/v1/models": (200, models)})
    backend = OpenAIBackend(url, retry=ONCE)
    with pytest.raises(Refused, match=words) as caught:
        await answer(backend)
    assert str(caught.value).isprintable()
    await backend.aclose()


async def test_a_server_that_cannot_count_is_asked_once(serve: Serve) -> None:
    url, server = await serve({"text": "done"})
    backend = OpenAIBackend(url, "m")
    assert await backend.count_tokens(ASK) is None
    assert await backend.count_tokens(ASK) is None
    assert [path for _, path, _, _ in server.requests] == ["/tokenize"]
    await backend.aclose()


async def test_a_server_without_a_list_of_models_still_answers(serve: Serve) -> None:
    url, _ = await serve({"text": "done"}, routes={"/v1/models": (404, {"detail": "Not Found"})})
    backend = OpenAIBackend(url, "m", retry=ONCE)
    assert (await backend.discover()).context_window is None
    assert (await answer(backend))[1].text == "done"
    await backend.aclose()


async def test_closing_twice_and_asking_afterwards(serve: Serve) -> None:
    url, _ = await serve({"text": "done"})
    backend = OpenAIBackend(url, "m", retry=ONCE)
    await answer(backend)
    await backend.aclose()
    await backend.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await answer(backend)
