import json
from pathlib import Path
from typing import Any

import pytest

from qcode.agent.profile import PROFILES
from qcode.events import AssistantDone, Event, SessionStarted, ToolFinished, TurnFinished, TurnStarted
from qcode.events import Reason as Why
from qcode.messages import Assistant, ToolCall, Usage
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.cli import main
from qcode_evals.making import Made
from qcode_evals.report import Results
from qcode_tools.result import Status, ToolResult


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id=f"call_{name}", name=name, arguments=arguments)


def answered(made: ToolCall, status: Status, content: str) -> ToolFinished:
    return ToolFinished(result=ToolResult(call_id=made.id, name=made.name, status=status, content=content))


def log(*, good: bool, name: str = "bash") -> bytes:
    """A session of two calls, of which the first fails, and a last word."""
    wrong, right = call(name, command="cat nowhere"), call("str_replace_editor", command="view", path="é.py")
    started = SessionStarted(
        session_id="s", qcode_version="0", started_at="2026-01-01T00:00:00+00:00", cwd="/testbed", model="m",
        engine="e", sandbox="docker", system=PROFILES["swe"].system, tools=("bash", "str_replace_editor"),
        settings={"toolset": "swe"},
    )  # fmt: skip
    events: list[Event] = [
        started,
        TurnStarted(text="Repair it."),
        AssistantDone(message=Assistant(text="Look.", tool_calls=(wrong,))),
        answered(wrong, Status.ERROR, "no such file"),
        AssistantDone(message=Assistant(text="", tool_calls=(right,), usage=Usage(completion_tokens=9))),
        answered(right, Status.OK, "x = '<tool_call>'\n"),
        AssistantDone(message=Assistant(text="Done." if good else "I give up.")),
        TurnFinished(reason=Why.FINISHED),
    ]
    return "".join(event.model_dump_json() + "\n" for event in events).encode()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    written = Results(folder, resume=False)
    for repeat, outcome in enumerate((Outcome.RESOLVED, Outcome.UNRESOLVED, Outcome.INFRA_ERROR)):
        good = outcome is Outcome.RESOLVED
        attempt = Attempt(
            instance_id="a", repeat=repeat, key="k", agent="qcode", model="m", outcome=outcome, resolved=good
        )
        written.add(Made(attempt, "x", None, ("session.jsonl", log(good=good))))
    return folder


def exported(results: Path, *options: str) -> list[dict[str, Any]]:
    out = results / "x.jsonl"
    assert main(["export", str(results), "--out", str(out), *options]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_openai(results: Path) -> None:
    first, second = exported(results)
    assert (first["reward"], second["reward"]) == (1.0, 0.0)
    assert [message["role"] for message in first["messages"]] == [
        "system", "user", "assistant", "tool", "assistant", "tool", "assistant",
    ]  # fmt: skip
    answers = [message for message in first["messages"] if message["role"] == "assistant"]
    assert [answer["weight"] for answer in answers] == [0, 1, 1], "a call that failed is not learned"
    function = answers[1]["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"command": "view", "path": "é.py"}
    assert first["messages"][3]["tool_call_id"] == answers[0]["tool_calls"][0]["id"]
    assert {tool["function"]["name"] for tool in first["tools"]} == {"bash", "str_replace_editor"}


def test_ms_swift(results: Path) -> None:
    (first,) = exported(results, "--format", "ms-swift", "--resolved")
    assert [(message["role"], message.get("loss")) for message in first["messages"]] == [
        ("system", None), ("user", None), ("assistant", False), ("tool_call", False), ("tool_response", None),
        ("tool_call", True), ("tool_response", None), ("assistant", True),
    ]  # fmt: skip
    assert json.loads(first["messages"][3]["content"]) == {"name": "bash", "arguments": {"command": "cat nowhere"}}
    assert json.loads(first["tools"])[0]["type"] == "function"


def test_sharegpt(results: Path) -> None:
    first, _ = exported(results, "--format", "sharegpt")
    assert [message["from"] for message in first["conversations"]] == [
        "human", "gpt", "function_call", "observation", "function_call", "observation", "gpt",
    ]  # fmt: skip
    assert first["system"].startswith(PROFILES["swe"].system[:20])


def test_pairs_are_of_one_task(results: Path) -> None:
    (pair,) = exported(results, "--pairs")
    assert pair["messages"][-1]["content"] == "Done."
    assert pair["rejected_messages"][-1]["content"] == "I give up."
    assert pair["messages"][:2] == pair["rejected_messages"][:2]


def test_what_the_template_would_change_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    written = Results(folder, resume=False)
    attempt = Attempt(instance_id="a", key="k", agent="q", model="m", outcome=Outcome.RESOLVED, resolved=True)
    written.add(Made(attempt, "x", None, ("session.jsonl", log(good=True, name="ba<sh>\n"))))
    assert main(["export", str(folder), "--out", str(folder / "x.jsonl")]) == 1
    assert "1 does not come out of the chat template as it went in" in capsys.readouterr().out
