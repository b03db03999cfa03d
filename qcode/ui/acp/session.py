"""One conversation of an editor: its turns, its questions."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import Any, Literal

from acp import RequestError
from acp.helpers import SessionUpdate, text_block, tool_content, update_agent_message_text
from acp.interfaces import Client
from acp.schema import AllowedOutcome, PermissionOption, ToolCallUpdate

from qcode.agent.approval import Answer, Decision
from qcode.app.commands import COMMANDS, Leave, parse, run
from qcode.app.conversation import Conversation
from qcode.errors import QcodeError
from qcode.events import ApprovalAsked, AssistantDone, Reason, TurnFinished
from qcode.ui.acp.updates import Updates
from qcode.ui.sanitize import visible
from qcode_sandbox.errors import SandboxError

StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]

_STOPS: dict[Reason, StopReason] = {
    Reason.INTERRUPTED: "cancelled",
    Reason.MAX_TURNS: "max_turn_requests",
    Reason.MAX_TOKENS: "max_tokens",
    Reason.CONTEXT_FULL: "max_tokens",
}
_ONCE, _ALWAYS, _NO = "once", "always", "no"


class EditorSession:
    """Carries a conversation to an editor and the editor's answers back."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._open = AsyncExitStack()
        self._announced: dict[str, asyncio.Event] = {}
        self._talk: Conversation | None = None
        self._updates: Updates | None = None
        self._later: asyncio.Task[None] | None = None

    @property
    def talk(self) -> Conversation:
        """The conversation. Raises: RuntimeError before it was begun."""
        if self._talk is None:
            raise RuntimeError("begin it first")
        return self._talk

    @property
    def id(self) -> str:
        """The session's id, which is that of its log."""
        return self.talk.session.id

    @property
    def commands(self) -> dict[str, str]:
        """What can be said with a slash, by name: qcode's own commands, the user's, and prompts of servers of tools."""
        own = {name: command.help for name, command in COMMANDS.items()}
        users = {name: command.description for name, command in self.talk.briefing.commands.items()}
        return {prompt.name: prompt.description for prompt in self.talk.servers.prompts} | users | own

    async def begin(self, talk: AbstractAsyncContextManager[Conversation]) -> None:
        """Enter the conversation. Raises: SessionError."""
        self._talk = await self._open.enter_async_context(talk)
        self._updates = Updates(lambda: self.talk.toolset, self.talk.cwd)

    async def close(self) -> None:
        """End what runs and leave the conversation."""
        if self._later is not None:
            self._later.cancel()
        await self._open.aclose()

    def later(self, *updates: SessionUpdate) -> None:
        """Send them when the editor knows of the session: after the answer to the request that began it."""

        async def send() -> None:
            for update in updates:
                await self._send(update)

        self._later = asyncio.ensure_future(send())

    async def replay(self) -> None:
        """Tell the editor what was said before."""
        assert self._updates is not None
        for update in self._updates.replayed(self.talk.history):
            await self._send(update)

    async def turn(self, words: str) -> StopReason:
        """Work on the user's words, or carry out the command that they are. Raises: RequestError."""
        try:
            command = parse(words)
            if command is not None and command[0] in self.commands:
                words = await self._command(words)
            if command is not None and not words:
                return "end_turn"
            ended = await self._work(words)
        except (QcodeError, SandboxError) as error:
            raise RequestError(-32603, visible(str(error))) from None
        if ended.reason is Reason.ERROR:
            raise RequestError(-32603, visible(ended.error or "the turn failed"))
        if ended.reason.is_limit:
            await self._say(f"\n\n(ended: {ended.reason.replace('_', ' ')}{f': {ended.error}' if ended.error else ''})")
        return _STOPS.get(ended.reason, "end_turn")

    async def approve(self, asked: ApprovalAsked) -> Decision:
        """Have the editor ask."""
        # The editor must know of the call before it is asked about it.
        await self._announced.setdefault(asked.call.id, asyncio.Event()).wait()
        options = [PermissionOption(option_id=_ONCE, name="Yes, once", kind="allow_once")]
        if asked.rule:
            options.append(PermissionOption(option_id=_ALWAYS, name=f"Always: {asked.rule}", kind="allow_always"))
        options.append(PermissionOption(option_id=_NO, name="No", kind="reject_once"))
        shown = [tool_content(text_block("\n\n".join(filter(None, [asked.reason, asked.preview]))))]
        question = ToolCallUpdate(tool_call_id=asked.call.id, content=shown)
        answer = await self._client.request_permission(session_id=self.id, tool_call=question, options=options)
        match answer.outcome:
            case AllowedOutcome(option_id="once"):
                return Decision(Answer.ONCE)
            case AllowedOutcome(option_id="always") if asked.rule:
                return Decision(Answer.ALWAYS)
            case _:
                return Decision(Answer.NO)

    async def _work(self, words: str) -> TurnFinished:
        assert self._updates is not None
        ended = TurnFinished(reason=Reason.ERROR, error="the turn ended without a word")
        async with aclosing(self.talk.turn(words)) as events:
            async for event in events:
                for update in self._updates.of(event):
                    await self._send(update)
                if isinstance(event, AssistantDone):
                    for call in event.message.tool_calls:
                        self._announced.setdefault(call.id, asyncio.Event()).set()
                elif isinstance(event, TurnFinished):
                    ended = event
        self._announced.clear()
        return ended

    async def _command(self, words: str) -> str:
        """What it has to say to the model, "" for nothing."""
        try:
            said = await run(self.talk, words)
        except Leave:
            said = None
        if said is not None and not said.turn:
            await self._say(f"```{'diff' if said.diff else ''}\n{said.text}\n```")
        return said.turn if said is not None else ""

    async def _say(self, text: str) -> None:
        await self._send(update_agent_message_text(visible(text)))

    async def _send(self, update: SessionUpdate) -> None:
        await self._client.session_update(session_id=self.id, update=update)


def words_of(blocks: Sequence[Any]) -> str:
    """The prompt's blocks as text. Raises: RequestError for images and sound."""
    parts = []
    for block in blocks:
        match block.type:
            case "text":
                parts.append(block.text)
            case "resource_link":
                parts.append(f"@{_path(block.uri)}")
            case "resource" if isinstance(getattr(block.resource, "text", None), str):
                parts.append(f"\n\n{_path(block.resource.uri)}:\n{block.resource.text}\n")
            case _:
                raise RequestError.invalid_params({"details": f"this model is given text, not {block.type}"})
    words = "".join(parts).strip()
    if not words:
        raise RequestError.invalid_params({"details": "the prompt is empty"})
    return words


def _path(uri: str) -> str:
    from urllib.parse import unquote, urlsplit

    split = urlsplit(uri)
    return unquote(split.path) if split.scheme == "file" else uri
