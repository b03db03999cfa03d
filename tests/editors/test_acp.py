"""`qcode acp`, talked to by the client of the protocol's own package over standard input and output."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from acp import PROTOCOL_VERSION, RequestError, spawn_agent_process, text_block
from acp.schema import AllowedOutcome, DeniedOutcome, McpServerStdio, RequestPermissionResponse
from calls import call, committed, edit, scripted
from mcp_speaking import speaker
from waiting import PATIENCE_S

FIX = "The sign is wrong. " + edit("calc.py", "a - b", "a + b")
LOOK = call("bash", command="cat calc.py")


class Editor:
    """Notes what it is told, and answers each question with `choice`."""

    def __init__(self, choice: str = "once") -> None:
        self.choice = choice
        self.told: list[dict[str, Any]] = []
        self.asked: list[Any] = []
        self.heard = asyncio.Event()
        self.question = asyncio.Event()

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        self.told.append(json.loads(update.model_dump_json(by_alias=True, exclude_none=True)))
        self.heard.set()

    async def request_permission(self, session_id: str, tool_call: Any, options: Any, **_: Any) -> Any:
        self.asked.append((tool_call, [option.option_id for option in options], list(self.told)))
        self.question.set()
        if self.choice == "never":
            await asyncio.Event().wait()
        outcome = (
            DeniedOutcome(outcome="cancelled")
            if self.choice == "cancelled"
            else AllowedOutcome(outcome="selected", option_id=self.choice)
        )
        return RequestPermissionResponse(outcome=outcome)

    def on_connect(self, conn: Any) -> None:
        """Nothing to keep."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [update for update in self.told if update["sessionUpdate"] == kind]

    def text(self) -> str:
        return "".join(update["content"]["text"] for update in self.of("agent_message_chunk"))

    async def until(self, kind: str, **like: Any) -> None:
        while not any(like.items() <= update.items() for update in self.of(kind)):
            self.heard.clear()
            await self.heard.wait()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return committed(tmp_path / "repo")


@pytest.fixture
def talk(tmp_path: Path) -> Callable[..., Any]:
    """Starts `qcode acp` with a scripted model; gives the connection to it."""

    @asynccontextmanager
    async def start(
        editor: Editor, *answers: str | dict[str, Any], options: tuple[str, ...] = ()
    ) -> AsyncIterator[Any]:
        model = scripted(tmp_path / "script.jsonl", *answers)
        arguments = ["-P", "-m", "qcode", "acp", "--model", model, "--sandbox", "none", *options]
        async with spawn_agent_process(editor, sys.executable, *arguments, env=dict(os.environ), cwd=tmp_path) as (
            connection,
            _,
        ):
            able = (await connection.initialize(protocol_version=PROTOCOL_VERSION)).agent_capabilities
            assert able.load_session
            assert able.session_capabilities.resume is not None
            assert able.session_capabilities.close is not None
            yield connection

    return start


async def test_a_turn_is_streamed_asked_about_and_logged(talk, repo: Path) -> None:  # type: ignore[no-untyped-def]
    editor = Editor()
    async with talk(editor, FIX, LOOK, "add() adds now.") as agent:
        session = await agent.new_session(cwd=str(repo), mcp_servers=[])
        assert {mode.id for mode in session.modes.available_modes} == {"plan", "ask", "auto-edit", "yolo"}
        done = await agent.prompt(session_id=session.session_id, prompt=[text_block("repair add()")])
        assert done.stop_reason == "end_turn"
        assert editor.text() == "The sign is wrong. add() adds now."
        change, look = editor.of("tool_call")
        assert (change["kind"], change["status"], look["kind"]) == ("edit", "pending", "execute")
        (diff,) = change["content"]
        assert (diff["type"], diff["path"], diff["oldText"], diff["newText"]) == (
            "diff", str(repo / "calc.py"), "a - b", "a + b",
        )  # fmt: skip
        question, offered, before = editor.asked[0]
        assert question.tool_call_id == change["toolCallId"]
        assert change in before, "the editor knew of the call before it was asked"
        assert {"once", "no"} <= set(offered)
        ended = [update for update in editor.of("tool_call_update") if update.get("status") == "completed"]
        assert [update["toolCallId"] for update in ended] == [change["toolCallId"], look["toolCallId"]]
        assert "a + b" in ended[1]["content"][0]["content"]["text"]
        assert "undo" in {each["name"] for each in editor.of("available_commands_update")[0]["availableCommands"]}

        await agent.prompt(session_id=session.session_id, prompt=[text_block("/diff")])
        assert "+    return a + b" in editor.text()
        listed = await agent.list_sessions(cwd=str(repo))
        assert [(one.session_id, one.title) for one in listed.sessions] == [(session.session_id, "repair add()")]

    again = Editor()
    async with talk(again, "Welcome back.") as agent:
        await agent.load_session(cwd=str(repo), session_id=session.session_id, mcp_servers=[])
        assert again.of("user_message_chunk")[0]["content"]["text"] == "repair add()"
        assert len(again.of("tool_call")) == 2
        assert again.text() == "The sign is wrong. add() adds now."
        await agent.prompt(session_id=session.session_id, prompt=[text_block("hello")])
        assert again.text().endswith("Welcome back.")


async def test_a_session_is_given_up_and_gone_on_with_without_telling_it_all_again(talk, repo: Path) -> None:  # type: ignore[no-untyped-def]
    editor = Editor()
    async with talk(editor, "Hello.", "Once more.") as agent:
        session = await agent.new_session(cwd=str(repo), mcp_servers=[])
        await agent.prompt(session_id=session.session_id, prompt=[text_block("hello")])
        await agent.close_session(session_id=session.session_id)
        with pytest.raises(RequestError, match="Invalid params"):
            await agent.prompt(session_id=session.session_id, prompt=[text_block("are you there?")])
        back = await agent.resume_session(cwd=str(repo), session_id=session.session_id, mcp_servers=[])
        assert back.modes.current_mode_id == "ask"
        assert not editor.of("user_message_chunk"), "the editor knows it"
        await agent.prompt(session_id=session.session_id, prompt=[text_block("and now?")])
    # The script begins anew with each conversation.
    assert editor.text() == "Hello.Hello."
    (log,) = (Path(os.environ["XDG_STATE_HOME"]) / "qcode" / "sessions").glob("*.jsonl")
    said = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [event["text"] for event in said if event.get("event") == "turn_started"] == ["hello", "and now?"]


async def test_the_editors_servers_of_tools_are_the_models_too(talk, repo: Path) -> None:  # type: ignore[no-untyped-def]
    editor = Editor()
    table = speaker("plain")
    server = McpServerStdio(name="My tools (1)", command=table["command"], args=table["args"], env=[])
    gone = McpServerStdio(name="gone", command="no-such-program", args=[], env=[])
    say = call("mcp__My-tools-1__say", word="hello")
    async with talk(editor, say, "It said it.", options=("--mode", "yolo")) as agent:
        session = await agent.new_session(cwd=str(repo), mcp_servers=[server, gone])
        await agent.prompt(session_id=session.session_id, prompt=[text_block("go")])
        assert editor.text() == "It said it."
        (ended,) = [update for update in editor.of("tool_call_update") if update.get("status") == "completed"]
        assert "said hello" in str(ended["content"])
        told = "".join(each["content"]["text"] for each in editor.of("agent_thought_chunk"))
        assert "MCP server gone is left out" in told


async def test_a_no_is_told_to_the_model_and_nothing_is_changed(talk, repo: Path) -> None:  # type: ignore[no-untyped-def]
    editor = Editor("no")
    async with talk(editor, FIX, "As you like.", options=("--copy",)) as agent:
        session = await agent.new_session(cwd=str(repo), mcp_servers=[])
        done = await agent.prompt(session_id=session.session_id, prompt=[text_block("repair add()")])
        assert done.stop_reason == "end_turn"
        assert editor.of("tool_call_update")[-1]["status"] == "failed"
        await agent.prompt(session_id=session.session_id, prompt=[text_block("/diff")])
        assert "changed nothing" in editor.text()


async def test_a_cancel_ends_the_turn_also_while_a_question_is_open(talk, repo: Path) -> None:  # type: ignore[no-untyped-def]
    editor = Editor("never")
    slow = {"text": "word " * 400, "pace_s": 0.05}
    async with talk(editor, FIX, slow, "Still here.") as agent:
        session = await agent.new_session(cwd=str(repo), mcp_servers=[])
        turn = asyncio.ensure_future(agent.prompt(session_id=session.session_id, prompt=[text_block("repair it")]))
        await editor.question.wait()
        await agent.cancel(session_id=session.session_id)
        assert (await turn).stop_reason == "cancelled"

        turn = asyncio.ensure_future(agent.prompt(session_id=session.session_id, prompt=[text_block("say much")]))
        await editor.until("agent_message_chunk", content={"type": "text", "text": "word word word w"})
        await agent.cancel(session_id=session.session_id)
        assert (await turn).stop_reason == "cancelled"
        done = await agent.prompt(session_id=session.session_id, prompt=[text_block("and now?")])
        assert done.stop_reason == "end_turn"
        assert editor.text().endswith("Still here.")


async def test_a_plan_a_mode_a_limit_and_thoughts(talk, repo: Path) -> None:  # type: ignore[no-untyped-def]
    editor = Editor()
    todos = json.dumps([{"id": "1", "content": "look", "status": "in_progress"}])
    answers = ({"text": call("todo_write", todos=todos), "thinking": "Hm."}, call("read_file", path="calc.py"))
    async with talk(editor, *answers, options=("--tools", "qwen-code", "--max-turns", "2")) as agent:
        session = await agent.new_session(cwd=str(repo), mcp_servers=[])
        await agent.set_session_mode(session_id=session.session_id, mode_id="yolo")
        done = await agent.prompt(session_id=session.session_id, prompt=[text_block("plan it")])
        assert done.stop_reason == "max_turn_requests"
        assert editor.of("plan")[0]["entries"] == [
            {"content": "look", "priority": "medium", "status": "in_progress"},
        ]
        assert "".join(each["content"]["text"] for each in editor.of("agent_thought_chunk")) == "Hm."
        assert editor.of("tool_call")[1]["kind"] == "read"


async def test_what_cannot_be_done_is_an_error_in_one_line(talk, repo: Path) -> None:  # type: ignore[no-untyped-def]
    async with talk(Editor(), {"text": "", "error": "refused", "message": "no\x1b[31m"}) as agent:
        for attempt, words in (
            (agent.new_session(cwd="relative", mcp_servers=[]), "absolute"),
            (agent.new_session(cwd=str(repo / "none"), mcp_servers=[]), "none"),
            (agent.load_session(cwd=str(repo), session_id="../../etc/passwd", mcp_servers=[]), "not the id"),
            (agent.prompt(session_id="nobody", prompt=[text_block("x")]), "no such session"),
        ):
            with pytest.raises(RequestError) as caught:
                await attempt
            assert words in f"{caught.value} {caught.value.data}"
        session = await agent.new_session(cwd=str(repo), mcp_servers=[])
        with pytest.raises(RequestError, match=r"no\\x1b\[31m"):
            await agent.prompt(session_id=session.session_id, prompt=[text_block("x")])


@pytest.mark.parametrize(("line", "code"), [("garbage", 0), ("[1, 2]", 1), ('"x"', 1)])
def test_what_is_not_of_the_protocol_is_said_without_a_traceback(tmp_path: Path, line: str, code: int) -> None:
    model = scripted(tmp_path / "script.jsonl", "x")
    hello = {"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {"protocolVersion": 1}}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "qcode", "acp", "--model", model, "--sandbox", "none"],
        input=f"{line}\n{json.dumps(hello)}\n", capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert all(each.startswith("qcode: ") for each in done.stderr.splitlines())
    assert done.stderr
    if code == 0:
        assert json.loads(done.stdout)["id"] == 7, "what comes behind it is answered"
