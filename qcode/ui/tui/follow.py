"""Events to blocks: the one place that knows what each event looks like."""

import time
from collections.abc import Iterable

from qcode.deltas import (
    ArgumentDone,
    EngineRestarted,
    ModelChanged,
    PrefillProgress,
    Retrying,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from qcode.events import (
    ApprovalGiven,
    AssistantDone,
    CallStopped,
    ChangesUndone,
    Cleared,
    Compacted,
    CompactionUndone,
    Event,
    Feedback,
    GuideShown,
    Notice,
    Rewound,
    SessionStarted,
    ShellRan,
    Steered,
    StepStarted,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    WentBack,
)
from qcode.messages import Assistant, Usage
from qcode.ui.tui import blocks
from qcode.ui.tui.callblock import CallBlock
from qcode.ui.tui.meter import Meter
from qcode.ui.tui.transcript import Transcript


class Follower:
    """Shows a session's events in a transcript as they come. What streams in is drawn from deltas; the complete message
    that follows puts right whatever they left open."""

    def __init__(self, transcript: Transcript, meter: Meter) -> None:
        self._transcript = transcript
        self._meter = meter
        self._calls: dict[str, CallBlock] = {}
        self._begin()
        self.usage = Usage()
        """Of the whole session."""
        self.last = Usage()
        """Of the last answer: its prompt and what it wrote is what fills the window."""
        self.doing = ""
        """What is being waited for, in a word or two; "" when nothing is."""
        self.echoed: list[str] = []
        """Words that are on the screen already, because the user typed them here."""

    def see(self, event: Event) -> None:
        """Show one event."""
        match event:
            case SessionStarted():
                pass
            case TurnStarted(text=text, said=said):
                self._said(said or text)
            case Steered(text=text):
                self._said(text, mark="↳")
            case StepStarted():
                self._begin()
                self._meter.asked()
                self.doing = "waiting"
            case PrefillProgress(processed=processed, total=total, cached=cached):
                self._meter.read(processed, total, cached)
                self.doing = "reading" if processed < total else "writing"
            case TextDelta(text=text):
                self._wrote("writing")
                self._text(text)
            case ThinkingDelta(text=text):
                self._wrote("thinking")
                self._thought(text)
            case ToolCallDelta(index=index, name=name, argument=argument, text=text):
                self._wrote("writing a call")
                self._call_delta(index, name, argument, text)
            case ArgumentDone(index=index, argument=argument, value=value):
                if block := self._live.get(index):
                    block.complete(argument, value)
                    self._transcript.changed(block)
            case AssistantDone(message=message, seconds=seconds, first_token_s=first):
                self._answered(message)
                # Of an answer that was interrupted the engine told nothing: what was known still holds.
                self.last = message.usage if message.usage.prompt_tokens else self.last
                self.usage += message.usage
                self._meter.answered(message.usage.completion_tokens, seconds, first)
                self.doing = ""
            case ToolStarted(call=call):
                block = self._calls.get(call.id) or self._new_call(call.name)
                block.settle(call)
                self._calls[call.id] = block
                self._transcript.changed(block)
                self.doing = f"running {call.name}"
            case ToolOutput(call_id=call_id, text=text):
                if block := self._calls.get(call_id):
                    block.output(text)
                    self._transcript.changed(block)
            case ToolFinished(result=result, seconds=seconds):
                if block := self._calls.pop(result.call_id, None):
                    block.finish(result, seconds)
                    self._transcript.changed(block)
                self.doing = ""
            case TurnFinished():
                self._finished(event)
            case _:
                self._told(event)

    def beside(self, event: Event) -> None:
        """Take in an event of a command's, which says itself what it did."""
        match event:
            case PrefillProgress():
                self.see(event)
            case Compacted(after=tokens) | ModelChanged(reads=tokens):
                self.last = Usage(prompt_tokens=tokens)
            case Cleared():
                self.last = Usage()

    def _told(self, event: Event) -> None:
        match event:
            case Retrying(attempt=attempt, wait_s=wait, error=error):
                self._void()
                self._note(f"{error}; attempt {attempt} in {wait:g} s", "warn")
                self.doing = "waiting to try again"
            case EngineRestarted(error=error):
                self._void()
                self._note(f"the engine came back after: {error}; asking again", "warn")
            case CallStopped(call=call):
                self._note(f"stopped while it wrote a call of {call.name} that could no longer succeed", "warn")
            case Feedback(text=text):
                self._note(_short(text))
            case WentBack():
                self._note("back to before what failed")
            case Rewound(turn=turn):
                self._note(f"back to before turn {turn}", "good")
            case Cleared():
                self._transcript.clear_blocks()
                self._note("a new conversation; the files stay as they are")
            case Compacted(after=after):
                self._note(f"the conversation was {event.words}")
                self.last = Usage(prompt_tokens=after)
            case ModelChanged(reads=reads):
                self._note(event.words, "warn")
                self.last = Usage(prompt_tokens=reads)
            case CompactionUndone():
                self._note("the shortening was taken back", "good")
            case GuideShown(path=path):
                self._note(f"read {path}")
            case ChangesUndone(numbers=numbers, changed=changed, kept=kept):
                done = f"took back {_count(len(numbers), 'change')} in {', '.join(changed) or 'no file'}"
                self._note(done + (f"; left as they are: {', '.join(kept)}" if kept else ""), "good")
            case ApprovalGiven(decision=decision, advice=advice, rule=rule):
                if decision == "no":
                    self._note("you said no" + (f": {advice}" if advice else ""), "warn")
                elif decision == "always":
                    self._note(f"always allowed from now on: {rule}", "good")
            case Notice(text=text):
                self._note(text)
            case _:
                pass

    def interrupted(self) -> None:
        """The stream has ended without its last event."""
        self.doing = ""
        self._begin()

    def _begin(self) -> None:
        self._answer: blocks.Answer | None = None
        self._thoughts: blocks.Thoughts | None = None
        self._live: dict[int, CallBlock] = {}
        self._thinking_since = 0.0

    def _said(self, text: str, mark: str = blocks.USER_MARK) -> None:
        if self.echoed and mark == blocks.USER_MARK:
            self.echoed.pop(0)
            return
        self._transcript.add(blocks.Words(text, mark=mark))

    def _wrote(self, doing: str) -> None:
        self._meter.wrote()
        self.doing = doing

    def _text(self, text: str) -> None:
        self._end_thought()
        if self._answer is None:
            if not text.strip():
                return
            self._answer = blocks.Answer()
            self._transcript.add(self._answer)
        self._answer.markdown.append(text)
        self._transcript.changed(self._answer)

    def _thought(self, text: str) -> None:
        if self._thoughts is None:
            self._thoughts = blocks.Thoughts()
            self._thinking_since = time.monotonic()
            self._transcript.add(self._thoughts)
        self._thoughts.text += text
        self._transcript.changed(self._thoughts)

    def _end_thought(self) -> None:
        if self._thoughts is not None and self._thoughts.seconds is None:
            self._thoughts.seconds = time.monotonic() - self._thinking_since
            self._transcript.changed(self._thoughts)

    def _call_delta(self, index: int, name: str, argument: str, text: str) -> None:
        self._end_thought()
        if (block := self._live.get(index)) is None:
            block = self._live[index] = self._new_call(name)
        if name:
            block.name = name
        block.write(argument, text)
        self._transcript.changed(block)

    def _new_call(self, name: str) -> CallBlock:
        block = CallBlock(name)
        self._transcript.add(block)
        return block

    def _answered(self, message: Assistant) -> None:
        self._end_thought()
        if message.text.strip() and self._answer is None:
            self._text(message.text)
        live = [self._live[index] for index in sorted(self._live)]
        for number, call in enumerate(message.tool_calls):
            block = live[number] if number < len(live) else self._new_call(call.name)
            block.settle(call)
            self._calls[call.id] = block
            self._transcript.changed(block)
        for block in live[len(message.tool_calls) :]:
            self._transcript.remove_block(block)
        self._begin()

    def _void(self) -> None:
        """The answer starts again from nothing."""
        for block in (self._answer, self._thoughts, *self._live.values()):
            if block is not None:
                self._transcript.remove_block(block)
        self._begin()
        self._meter.asked()

    def replay(self, events: Iterable[Event]) -> None:
        """Show what a session had when it was opened again."""
        for event in events:
            if isinstance(event, ShellRan):
                self._transcript.add(blocks.Words(event.command, mark="!"))
                self.see_shell(self.shell_block(), event)
            else:
                self.see(event)
        self.interrupted()

    def shell_block(self) -> blocks.Output:
        """Where the output of a command of the user's own will stand."""
        block = blocks.Output()
        self._transcript.add(block)
        return block

    def see_shell(self, block: blocks.Output, event: Event) -> None:
        """Show what the user's own command does; a turn's events tell of it once more."""
        match event:
            case ToolOutput(text=text):
                block.append(text)
            case ShellRan(output=output, exit_code=code):
                block.finish(output, code)
            case _:
                return
        self._transcript.changed(block)

    def _finished(self, event: TurnFinished) -> None:
        self.doing = ""
        self._end_thought()
        self._begin()
        self._calls.clear()
        kind = "good" if event.reason == "finished" else "bad" if event.error else "warn"
        parts = [event.reason.replace("_", " "), _count(event.steps, "step"), f"{event.seconds:.1f} s"]
        if event.usage.completion_tokens:
            parts.append(f"{event.usage.completion_tokens:,} tokens written")
        if event.usage.prompt_tokens and not event.usage.cache_untold:
            parts.append(f"{100 * event.usage.cached_tokens / event.usage.prompt_tokens:.0f}% of the prompts cached")
        self._note(" · ".join(parts) + (f": {event.error}" if event.error else ""), kind, gap=1)

    def _note(self, text: str, kind: str = "note", *, gap: int = 0) -> None:
        self._transcript.add(blocks.Notice(text, kind, gap=gap))


def _short(text: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return first + (" …" if rest else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
