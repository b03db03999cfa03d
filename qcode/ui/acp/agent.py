"""qcode as an agent that an editor starts and talks to."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from acp import PROTOCOL_VERSION, RequestError, run_agent
from acp.helpers import update_available_commands, update_current_mode
from acp.interfaces import Agent, Client
from acp.schema import (
    AgentCapabilities,
    AvailableCommand,
    AvailableCommandsUpdate,
    Implementation,
    InitializeResponse,
    ListSessionsResponse,
    LoadSessionResponse,
    McpServerStdio,
    NewSessionResponse,
    PromptCapabilities,
    PromptResponse,
    ResumeSessionResponse,
    SessionCapabilities,
    SessionCloseCapabilities,
    SessionInfo,
    SessionListCapabilities,
    SessionMode,
    SessionModeState,
    SessionResumeCapabilities,
    SetSessionModeResponse,
)

from qcode import __version__
from qcode.agent.approval import Approver
from qcode.app.conversation import Conversation
from qcode.errors import QcodeError
from qcode.policy.policy import Mode
from qcode.session.index import Entry, SessionIndex
from qcode.session.store import find_log
from qcode.ui.acp.complaints import as_lines
from qcode.ui.acp.session import EditorSession, words_of
from qcode.ui.acp.updates import thought
from qcode.ui.sanitize import visible
from qcode_sandbox.errors import SandboxError

Servers = Mapping[str, Any]
"""What the editor says of servers of tools: tables by name, as in .mcp.json."""

Open = Callable[[Path, Approver, Path | None, Servers], Awaitable[AbstractAsyncContextManager[Conversation]]]
"""From a folder, whom to ask, perhaps the log to go on with, and the editor's servers of tools."""

_PAGE = 50
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9]+")
_NOT_HERE = {"quit", "clear", "resume"}
_MODES = {
    Mode.PLAN: ("Plan", "looks and plans; changes nothing"),
    Mode.ASK: ("Ask", "asks before each edit and command"),
    Mode.AUTO_EDIT: ("Auto-edit", "edits at once; asks before commands"),
    Mode.YOLO: ("Yolo", "edits and runs commands at once"),
}


class QcodeAgent:
    """Any number of sessions with one editor; what it does not have is answered with "method not found"."""

    def __init__(self, open_talk: Open) -> None:
        self._open = open_talk
        self._sessions: dict[str, EditorSession] = {}
        self._client: Client | None = None

    def on_connect(self, conn: Client) -> None:
        """The editor is there."""
        self._client = conn

    async def initialize(self, protocol_version: int, *_: Any, **__: Any) -> InitializeResponse:
        """Say who this is and what it can do."""
        return InitializeResponse(
            protocol_version=min(protocol_version, PROTOCOL_VERSION),
            agent_info=Implementation(name="qcode", version=__version__),
            agent_capabilities=AgentCapabilities(
                load_session=True,
                prompt_capabilities=PromptCapabilities(embedded_context=True),
                session_capabilities=SessionCapabilities(
                    list=SessionListCapabilities(), resume=SessionResumeCapabilities(), close=SessionCloseCapabilities()
                ),
            ),
            auth_methods=[],
        )

    async def new_session(self, cwd: str, mcp_servers: Sequence[Any] | None = None, **_: Any) -> NewSessionResponse:
        """Begin a session in a folder. Raises: RequestError."""
        session = await self._begin(cwd, None, mcp_servers)
        return NewSessionResponse(session_id=session.id, modes=_modes(session.talk))

    async def load_session(
        self, cwd: str, session_id: str, mcp_servers: Sequence[Any] | None = None, **_: Any
    ) -> LoadSessionResponse:
        """Go on with one that ended, and tell what was said in it. Raises: RequestError."""
        session = await self._go_on(cwd, session_id, mcp_servers)
        await session.replay()
        return LoadSessionResponse(modes=_modes(session.talk))

    async def resume_session(
        self, cwd: str, session_id: str, mcp_servers: Sequence[Any] | None = None, **_: Any
    ) -> ResumeSessionResponse:
        """Go on with one that ended, of which the editor knows what was said. Raises: RequestError."""
        session = await self._go_on(cwd, session_id, mcp_servers)
        return ResumeSessionResponse(modes=_modes(session.talk))

    async def list_sessions(self, cwd: str | None = None, cursor: str | None = None, **_: Any) -> ListSessionsResponse:
        """Those that there are, the one used last first. Raises: RequestError."""

        def listed() -> list[Entry]:
            with SessionIndex() as index:
                return index.entries(repo=Path(cwd) if cwd else None)

        try:
            start = int(cursor or "0")
            found = await asyncio.to_thread(listed)
        except (QcodeError, ValueError) as error:
            raise RequestError.invalid_params({"details": visible(str(error))}) from None
        page = found[start : start + _PAGE]
        sessions = [
            SessionInfo(
                session_id=entry.id,
                cwd=entry.digest.cwd,
                title=visible(entry.digest.first)[:100],
                updated_at=datetime.fromtimestamp(entry.used_at, UTC).isoformat(timespec="seconds"),
            )
            for entry in page
        ]
        return ListSessionsResponse(
            sessions=sessions, next_cursor=str(start + _PAGE) if len(found) > start + _PAGE else None
        )

    async def set_session_mode(self, session_id: str, mode_id: str, **_: Any) -> SetSessionModeResponse:
        """What it may do unasked. Raises: RequestError."""
        session = self._session(session_id)
        try:
            session.talk.policy.mode = Mode(mode_id)
        except ValueError:
            raise RequestError.invalid_params({"details": f"the modes are {', '.join(Mode)}"}) from None
        return SetSessionModeResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        """One turn, to its end. Raises: RequestError."""
        session = self._session(session_id)
        before = session.talk.policy.mode
        stopped = await session.turn(words_of(prompt))
        if (mode := session.talk.policy.mode) != before and self._client is not None:
            await self._client.session_update(session_id=session_id, update=update_current_mode(mode.value))
        return PromptResponse(stop_reason=stopped)

    async def cancel(self, session_id: str, **_: Any) -> None:
        """End the running turn; its prompt is answered with "cancelled"."""
        if (session := self._sessions.get(session_id)) is not None:
            session.talk.interrupt()

    async def close_session(self, session_id: str, **_: Any) -> None:
        """Give up what a session holds; its log stays."""
        if (session := self._sessions.pop(session_id, None)) is not None:
            await session.close()

    async def close(self) -> None:
        """The editor has gone."""
        sessions, self._sessions = list(self._sessions.values()), {}
        await asyncio.gather(*(session.close() for session in sessions))

    async def _go_on(self, cwd: str, session_id: str, servers: Sequence[Any] | None) -> EditorSession:
        try:
            log = find_log(session_id)
        except QcodeError as error:
            raise RequestError.invalid_params({"details": visible(str(error))}) from None
        return self._sessions.get(log.stem) or await self._begin(cwd, log, servers)

    async def _begin(self, cwd: str, log: Path | None, servers: Sequence[Any] | None) -> EditorSession:
        assert self._client is not None, "whoever calls is connected"
        folder = Path(cwd)
        if not folder.is_absolute():
            raise RequestError.invalid_params({"details": "cwd must be an absolute path"})
        session = EditorSession(self._client)
        try:
            await session.begin(await self._open(folder, session, log, _tables(servers or ())))
        except (QcodeError, SandboxError) as error:
            raise RequestError(-32603, visible(str(error))) from None
        self._sessions[session.id] = session
        session.later(_commands(session), *map(thought, session.talk.notices))
        return session

    def _session(self, session_id: str) -> EditorSession:
        if (session := self._sessions.get(session_id)) is None:
            raise RequestError.invalid_params({"details": "there is no such session: begin or load it first"})
        return session


async def serve(open_talk: Open) -> None:
    """Talk with the editor over standard input and output until it closes them. Raises: QcodeError for input that is
    not of the protocol, and for output that is not a pipe."""
    as_lines()
    agent = QcodeAgent(open_talk)
    try:
        # Resuming and closing a session are stable in the protocol, and not yet in this version of its package.
        await run_agent(cast(Agent, agent), use_unstable_protocol=True)
    except (AttributeError, TypeError, ValueError, OSError) as error:
        # The package takes the shape of messages and streams for granted.
        raise QcodeError(f"the talk with the editor broke off: {visible(str(error))}") from None
    finally:
        await agent.close()


def _commands(session: EditorSession) -> AvailableCommandsUpdate:
    return update_available_commands(
        AvailableCommand(name=name, description=visible(words))
        for name, words in session.commands.items()
        if name not in _NOT_HERE
    )


def _tables(servers: Sequence[Any]) -> dict[str, Any]:
    """The programs among the editor's servers; others it does not name, having been told that they are not taken. A
    name may have any characters there."""
    return {
        _NOT_IN_A_NAME.sub("-", server.name)[:31].strip("-"): {
            "command": server.command,
            "args": list(server.args),
            "env": {variable.name: variable.value for variable in server.env},
        }
        for server in servers
        if isinstance(server, McpServerStdio)
    }


def _modes(talk: Conversation) -> SessionModeState:
    return SessionModeState(
        current_mode_id=talk.policy.mode.value,
        available_modes=[
            SessionMode(id=mode.value, name=name, description=words) for mode, (name, words) in _MODES.items()
        ],
    )
