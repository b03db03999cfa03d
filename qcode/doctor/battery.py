"""All checks in their order, and which of them are wanted."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass

from qcode.doctor import answering, calling, identity, prompting
from qcode.doctor.patient import EnginePatient, Patient
from qcode.doctor.result import Result

CHECKS = {
    "model": "is it the model that was asked for?",
    "window": "is there room to work in?",
    "streaming": "does the answer come in pieces, and how fast?",
    "messages": "are system, tool and user messages taken in our order?",
    "call": "does a tool call arrive, streamed and not?",
    "typed": "do numbers and booleans arrive as such?",
    "two": "do two calls of one answer arrive?",
    "thinking": "does a call after thinking arrive?",
    "first": "how long does a known prompt wait?",
    "cache": "is a prompt kept for the next turn?",
    "cancel": "does writing stop when nobody listens?",
    "long": "is a long prompt read to its first line?",
}
"""By the names that --only takes."""

READING_S = 30.0
"""Seconds that reading the long prompt may take, by which its length is chosen."""

_LONGEST = 12_000
_SHORTEST = 1_500


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants examined: `asked` is the model that was named, `long_tokens` None chooses by speed."""

    asked: str | None = None
    only: Collection[str] = tuple(CHECKS)
    small_context: bool = False
    long_tokens: int | None = None


async def examine(patient: Patient, wishes: Wishes) -> AsyncGenerator[str | Result, None]:
    """Yield the name of each check before it runs and its results after it. Raises: BackendError where nothing
    answers, ModelFileError."""
    await patient.meet()
    for check in [name for name in CHECKS if name in wishes.only]:
        yield check
        for result in await _run(check, patient, wishes):
            yield result


async def _run(check: str, patient: Patient, wishes: Wishes) -> list[Result]:
    match check:
        case "model":
            return [await identity.model(patient, asked=wishes.asked)]
        case "window":
            return [await identity.window(patient, small_context=wishes.small_context, size=_window(patient))]
        case "streaming":
            return await answering.streaming(patient)
        case "messages":
            return [await prompting.template(patient)]
        case "call":
            return [await calling.streamed(patient), await calling.whole(patient)]
        case "typed":
            return [await calling.typed(patient)]
        case "two":
            return [await calling.two(patient)]
        case "thinking":
            return [await calling.after_thinking(patient)]
        case "first":
            return [await prompting.first_token(patient)]
        case "cache":
            return [await prompting.cache(patient)]
        case "cancel":
            return [await answering.cancelling(patient)]
        case _:
            return [await prompting.long(patient, tokens=wishes.long_tokens or await _affordable(patient))]


def _window(patient: Patient) -> int | None:
    if isinstance(patient, EnginePatient):
        return patient.window
    return patient.found.window if patient.found else None


async def _affordable(patient: Patient) -> int:
    """Tokens that are read within READING_S, measured on a few hundred."""
    from qcode.doctor.conversation import long_prompt, plain

    heard = await patient.ask(plain(long_prompt(20), max_tokens=1), stream=patient.streams)
    read = heard.message.usage.prompt_tokens - heard.message.usage.cached_tokens if heard.message else 0
    speed = read / heard.first_s if heard.first_s > 0 else 0.0
    room = (_window(patient) or _LONGEST) - 512
    return max(min(_SHORTEST, room), min(_LONGEST, room, round(speed * READING_S)))
