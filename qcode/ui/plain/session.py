"""A conversation with somebody who reads and writes lines."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, TextIO

from qcode.ui.plain.lines import Lines, Message, TooLong
from qcode.ui.sanitize import visible

if TYPE_CHECKING:
    from qcode.agent.approval import Approver, Decision
    from qcode.app.conversation import Conversation
    from qcode.events import ApprovalAsked, Event, TurnFinished
    from qcode.ui.text import TextPrinter

Open = Callable[["Approver"], "AbstractAsyncContextManager[Conversation]"]

PROMPT = "> "
TWICE_S = 2.0
"""Within which a second Ctrl-C leaves."""

_LONG = 100_000
"""Characters of a message that goes into a file: it would fill most of a window."""

_QUESTION = "[y]es / [a]lways / [n]o, or type advice: "
_QUESTION_ONCE = "[y]es / [n]o, or type advice: "


class PlainSession:
    """Reads messages, shows events, asks. A terminal is read all the time, and what is written while the model works
    waits for its turn; a pipe is read when the next message or answer is wanted."""

    def __init__(self, out: TextIO, load: Callable[[], Open]) -> None:
        """`load` imports and chooses what takes time; it is called in a thread, while the user writes already. What it
        gives is called in the event loop."""
        self._out = out
        self._load = load
        self._lines = Lines()
        self._queued: deque[str] = deque()
        self._question: asyncio.Future[str] | None = None
        self._talk: Conversation | None = None
        self._known: TextPrinter | None = None
        self._turn: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._main: asyncio.Task[object] | None = None
        self._pressed = float("-inf")
        self._code = 0
        self._left: int | None = None
        self._failure: BaseException | None = None

    async def run(self, first: str) -> int:
        """Talk until the user leaves; the exit code. Raises: QcodeError, SandboxError, OSError where nobody reads."""
        self._main = asyncio.current_task()
        try:
            opener = await asyncio.to_thread(self._load)
            self._known = _printer(self._out)
            async with opener(self) as self._talk:
                self._talk.record.beside = self._beside
                if words := self._talk.take_queued():
                    self._printer.note(f"not said when the session ended: {visible(words)}")
                for line in self._talk.notices:
                    self._printer.note(line)
                if first:
                    self._begin(first)
                await self._listen(self._talk)
        except asyncio.CancelledError:
            if self._failure is not None:
                raise self._failure from None
        finally:
            self._lines.close()
        return self._code if self._left is None else self._left

    def interrupted(self) -> None:
        """Ctrl-C: the first ends what runs, the second leaves."""
        now, before = time.monotonic(), self._pressed
        self._pressed = now
        if now - before < TWICE_S:
            self.leave(130)
        elif self._talk is not None and self._talk.interrupt():
            self.note("interrupted; Ctrl-C again leaves")
            if unsaid := [*self._queued, *self._talk.withdraw()]:
                self._queued.clear()
                self._talk.keep_queued(())
                self.note(f"not said: {' / '.join(unsaid)}")
        else:
            self.note("Ctrl-C again leaves, and so does Ctrl-D")
            self._prompt()

    def leave(self, code: int) -> None:
        """End the session from outside."""
        self._left = code
        if self._main is not None:
            self._main.cancel()

    async def approve(self, asked: "ApprovalAsked") -> "Decision":
        """Show what would happen and wait for a line."""
        from qcode.agent.approval import Answer, Decision

        self._printer.ask(asked)
        question = _QUESTION if asked.rule else _QUESTION_ONCE
        while True:
            self._write(question)
            answer = (await self._answer()).strip()
            match answer.lower():
                case "":
                    continue
                case "y" | "yes":
                    return Decision(Answer.ONCE)
                case "a" | "always" if asked.rule:
                    return Decision(Answer.ALWAYS)
                case "n" | "no":
                    return Decision(Answer.NO)
                case _:
                    return Decision(Answer.NO, advice=answer)

    async def _answer(self) -> str:
        self._question = asyncio.get_running_loop().create_future()
        try:
            if not self._lines.terminal:
                while not self._question.done():
                    await self._take(await self._lines.next())
            return await self._question
        finally:
            self._question = None

    async def _listen(self, talk: "Conversation") -> None:
        while True:
            if not self._lines.terminal:
                await self._idle.wait()
            self._prompt()
            message = await self._lines.next()
            if message is None and not self._lines.terminal:
                await self._idle.wait()
            if message is None or not await self._take(message):
                return

    async def _take(self, message: Message | None) -> bool:
        """Do what a message says; False if that is to leave."""
        from qcode.app.commands import Leave
        from qcode.errors import QcodeError
        from qcode_sandbox.errors import SandboxError

        question = self._question
        try:
            match message:
                case None if question is not None:
                    question.set_result("nobody is there any more to be asked")
                case None:
                    return False
                case TooLong(size=size):
                    self.note(f"a message of {size / 1e6:.0f} MB is not taken: put it into a file of the repository")
                case str() if question is not None and "\n" not in message and not message.startswith(("/", "!")):
                    question.set_result(message)
                case str() if message.strip():
                    await self._words(message)
        except Leave:
            if question is not None:
                self.leave(0)
            return False
        except (QcodeError, SandboxError) as error:
            self.note(" ".join(str(error).split()))
        except asyncio.CancelledError:
            if self._left is not None:
                raise
            self.note("interrupted")
        return True

    async def _words(self, message: str) -> None:
        from qcode.app.commands import run

        assert self._talk is not None
        if message.startswith("!"):
            await self._shell(self._talk, message[1:].strip())
            return
        said = await run(self._talk, message)
        if said is not None and not said.turn:
            if said.diff:
                self._printer.diff(said.text)
            else:
                self._printer.say(said.text)
            return
        message = said.turn if said is not None else message
        if self._turn is None:
            self._begin(message)
        else:
            self._queued.append(message)
            self._talk.keep_queued(tuple(self._queued))
            self.note("waits until this turn has ended; /steer WORDS is heard before its next step")

    async def _shell(self, talk: "Conversation", command: str) -> None:
        from qcode.events import ShellRan, ToolOutput

        async with aclosing(talk.shell(command)) as events:
            async for event in events:
                match event:
                    case ToolOutput(text=text):
                        self._printer.stream(text)
                    case ShellRan(exit_code=code):
                        self.note(f"exit code {code}" if code else "done")

    def _begin(self, text: str) -> None:
        self._idle.clear()
        self._turn = asyncio.ensure_future(self._work(text))
        self._turn.add_done_callback(self._ended)

    async def _work(self, text: str) -> None:
        from qcode.events import TurnFinished

        assert self._talk is not None
        if len(text) > _LONG:
            text = await self._talk.attach(text)
            self.note(text)
        async with aclosing(self._talk.turn(text)) as events:
            async for event in events:
                self._printer(event)
                if isinstance(event, TurnFinished):
                    self._code = 0 if self._lines.terminal else exit_code(event)

    def _ended(self, turn: "asyncio.Task[None]") -> None:
        from qcode.errors import QcodeError
        from qcode_sandbox.errors import SandboxError

        self._turn = None
        error = None if turn.cancelled() else turn.exception()
        if isinstance(error, QcodeError | SandboxError):
            self.note(" ".join(str(error).split()))
            self._code = 0 if self._lines.terminal else error.exit_code
        elif error is not None:
            self._failure = error
            self.leave(1)
            return
        if self._queued:
            message = self._queued.popleft()
            if self._talk is not None:
                self._talk.keep_queued(tuple(self._queued))
            self._begin(message)
            return
        self._idle.set()
        if self._lines.terminal:
            self._prompt()

    def _prompt(self) -> None:
        if self._lines.terminal and self._turn is None:
            self._write(PROMPT)

    def note(self, line: str) -> None:
        """A line of qcode's own."""
        if self._known is not None:
            self._known.note(line)
        else:
            self._write(f"{visible(line)}\n")

    def _beside(self, event: "Event") -> None:
        from qcode.deltas import PrefillProgress

        if isinstance(event, PrefillProgress):
            self._printer(event)

    @property
    def _printer(self) -> "TextPrinter":
        assert self._known is not None, "the conversation is open"
        return self._known

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _printer(out: TextIO) -> "TextPrinter":
    from qcode.ui.text import TextPrinter

    return TextPrinter(out, moves=False)


def exit_code(ended: "TurnFinished") -> int:
    """As `qcode run` gives it: 0 finished, 1 failed, 3 a limit, 130 interrupted."""
    from qcode.events import Reason

    if ended.reason is Reason.FINISHED:
        return 0
    if ended.reason is Reason.INTERRUPTED:
        return 130
    return 3 if ended.reason.is_limit else 1
