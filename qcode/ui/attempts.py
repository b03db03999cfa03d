"""Several attempts at a task as lines for people."""

from typing import TextIO

from qcode.app.attempts import AttemptChosen, AttemptEnded, AttemptEvent, AttemptJudged
from qcode.ui.sanitize import visible


class AttemptLines:
    """Writes one line an event; people count attempts from 1."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: AttemptEvent) -> None:
        print(visible(_words(event)), file=self._stream, flush=True)


def _words(event: AttemptEvent) -> str:
    match event:
        case AttemptEnded(attempt=number, reason=reason, steps=steps, changed_lines=lines, seconds=seconds):
            failed = f": {event.error}" if event.error else ""
            return f"attempt {number + 1}: {reason} after {steps} steps, {lines} lines changed, {seconds:.1f} s{failed}"
        case AttemptJudged(agreeing=numbers, applies=False):
            return f"{_named(numbers)}: the change does not apply"
        case AttemptJudged(
            agreeing=numbers,
            verified=verified,
            broken=broken,
            examples=(right, told),
            reproduced=(passed, of),
            alike=alike,
        ):
            said = [] if verified is None else ["passes the given command" if verified else "fails the given command"]
            said += [f"breaks {broken} of the repository's tests"] if broken else ["breaks no test"]
            said += [f"{right} of {told} examples come out right"] if told else []
            said += [f"passes {passed} of {of} tests of other attempts"] if of else []
            said += [f"answers calls like the examples as {alike:.1f} attempts do"] if alike else []
            return f"{_named(numbers)}: {', '.join(said)}"
        case AttemptChosen(attempt=number, of=of, why=why):
            return f"chosen: attempt {number + 1} of {of}, because {why}"


def _named(numbers: tuple[int, ...]) -> str:
    return f"attempt{'s' if len(numbers) > 1 else ''} {', '.join(str(number + 1) for number in numbers)}"
