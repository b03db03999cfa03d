"""What is sent: well-formed messages whatever the history went through."""

import json

from qcode.backends.openai_compat import payload
from qcode.messages import Assistant, Tool, ToolCall, User
from qcode.model import Request, Sampling
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, ToolSpec

BASH = ToolSpec("bash", "Run it.", {"type": "object", "properties": {"command": {"type": "string"}}}, Effect.EXEC)


def call(id: str, **arguments: object) -> ToolCall:
    return ToolCall(id=id, name="bash", arguments=arguments)


def result(id: str, content: str) -> Tool:
    return Tool(result=ToolResult(call_id=id, name="bash", status=Status.OK, content=content))


def test_a_conversation_in_openai_s_shape() -> None:
    history = (
        User(text="Fix it."),
        Assistant(text="Look.", tool_calls=(call("a", command="ls"),)),
        result("a", "x.py"),
    )
    messages = payload.messages(Request("Be good.", history))
    assert messages == [
        {"role": "system", "content": "Be good."},
        {"role": "user", "content": "Fix it."},
        {
            "role": "assistant",
            "content": "Look.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x.py"},
    ]


def test_every_call_has_one_result_in_the_order_of_the_calls() -> None:
    history = (
        User(text="Fix it."),
        Assistant(tool_calls=(call("a"), call("b"), call("c"))),
        result("c", "third"),
        result("stranger", "nobody asked"),
        result("a", "first"),
        User(text="Go on."),
        Assistant(tool_calls=(call("d"),)),
    )
    messages = payload.messages(Request("", history))
    answers = [(m["tool_call_id"], m["content"]) for m in messages if m["role"] == "tool"]
    assert answers == [("a", "first"), ("b", "cancelled: no result"), ("c", "third"), ("d", "cancelled: no result")]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "tool", "user", "assistant", "tool"]


def test_the_body_is_valid_json_whatever_is_in_it() -> None:
    history = (
        User(text="half a pair: \ud800, and ä"),
        Assistant(tool_calls=(call("a", n=float("nan"), deep=[{"x": float("inf")}], big=10**30),)),
    )
    body = payload.encoded(payload.body(Request("s", history), "m"))
    read = json.loads(body.decode("utf-8"))
    assert read["messages"][1]["content"] == "half a pair: ?, and ä"
    arguments = json.loads(read["messages"][2]["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"n": "nan", "deep": [{"x": "inf"}], "big": 10**30}


def test_only_what_is_set_is_sent() -> None:
    bare = payload.body(Request("s", (User(text="hi"),)), "m")
    assert bare.keys() == {"model", "messages", "stream", "stream_options", "max_tokens", "return_progress"}
    sampling = Sampling(temperature=0.0, top_p=0.8, top_k=20, repetition_penalty=1.05, max_tokens=99, seed=7)
    full = payload.body(Request("s", (User(text="hi"),), (BASH,), sampling, "required"), "m")
    assert (full["temperature"], full["top_p"], full["top_k"], full["seed"]) == (0.0, 0.8, 20, 7)
    assert full["repetition_penalty"] == full["repeat_penalty"] == 1.05
    assert (full["max_tokens"], full["tool_choice"]) == (99, "required")
    assert full["tools"][0]["function"] == {"name": "bash", "description": "Run it.", "parameters": BASH.parameters}


def test_the_prefix_of_the_body_s_messages_is_the_same_at_every_step() -> None:
    history = (User(text="Fix it."), Assistant(tool_calls=(call("a", command="ls"),)), result("a", "x"))
    shorter = payload.messages(Request("s", history))
    longer = payload.messages(Request("s", (*history, Assistant(text="done"), User(text="more"))))
    assert longer[: len(shorter)] == shorter
