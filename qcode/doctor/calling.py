"""Checks of tool calls: streamed and not, typed, two at once, after thinking."""

import json
import re
from dataclasses import replace

from qcode.doctor import remedies
from qcode.doctor.conversation import Question, question
from qcode.doctor.patient import Heard, Patient
from qcode.doctor.result import Result, Verdict
from qcode.messages import ToolCall
from qcode.model import Request, Thinking
from qcode.models.card import Mode

_CALL_IN_TEXT = re.compile(r"<tool_call>|</?function=?|\"name\"\s*:\s*\"(?:wait|show)\"")


async def streamed(patient: Patient) -> Result:
    """Does a call arrive, piece by piece?"""
    return await _call(patient, "call, streamed", question(Question.SHOW), stream=True)


async def whole(patient: Patient) -> Result:
    """Does a call arrive in an answer that is not streamed?"""
    if patient.server is None:
        return Result("call, whole", Verdict.SKIP, "the engine only streams")
    return await _call(patient, "call, whole", question(Question.SHOW), stream=False)


async def typed(patient: Patient) -> Result:
    """Do numbers and booleans arrive as what they are?"""
    name, request = "typed arguments", question(Question.WAIT)
    heard = await patient.ask(request, stream=patient.streams)
    if (failed := _unusable(patient, name, heard)) is not None:
        return failed
    calls = await _calls_or_forced(patient, heard, request)
    if calls is None:
        return Result(name, Verdict.WEAK, "the model did not call, also not when it was held to it")
    if not (wanted := [call for call in calls if call.name == "wait"]):
        return Result(name, Verdict.WEAK, f"the model called {calls[0].name} in place of wait")
    for raw in heard.native:
        if raw["name"] == "wait" and (wrong := _wrongly_typed(raw["arguments"])):
            detail = f"the server sends {wrong} as text, against the tool's schema; qcode mends it"
            return Result(name, Verdict.FAIL, detail, remedies.parser(patient.server, patient.card, heard.raw_text))
    arguments = wanted[0].arguments
    shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    if type(arguments.get("seconds")) is not int or type(arguments.get("quietly")) is not bool:
        return Result(name, Verdict.WEAK, f"the model wrote wait({shown})")
    return Result(name, Verdict.PASS, f"wait({shown})")


async def two(patient: Patient) -> Result:
    """Do two calls of one answer both arrive?"""
    name = "two calls"
    heard = await patient.ask(question(Question.SHOW_TWO, max_tokens=96), stream=patient.streams)
    if (failed := _unusable(patient, name, heard)) is not None:
        return failed
    calls = heard.message.tool_calls if heard.message else ()
    if len(calls) >= 2:
        return Result(name, Verdict.PASS, f"{len(calls)} calls in one answer")
    openings = max(heard.raw_text.count("<tool_call>"), heard.raw_text.count("<function="))
    if openings >= 2:
        detail = f"the model wrote {openings} calls, {len(calls)} arrived"
        return Result(name, Verdict.FAIL, detail, remedies.parser(patient.server, patient.card, heard.raw_text))
    return Result(name, Verdict.WEAK, f"the model made {len(calls)} of them in one answer: it takes one turn more")


async def after_thinking(patient: Patient) -> Result:
    """Does a call that follows thoughts arrive, and do the thoughts come apart from it?"""
    name = "call after thinking"
    if patient.card is None or Mode.THINKING not in patient.card.modes:
        return Result(name, Verdict.SKIP, "this model does not think" if patient.card else "not known to think")
    request = question(Question.SHOW, max_tokens=1024)
    sampling = patient.card.sampling_for(Mode.THINKING)
    thinking = sampling.model_copy(update={"thinking": Thinking(enabled=True, budget=512), "max_tokens": 1024})
    heard = await patient.ask(replace(request, sampling=thinking), stream=patient.streams)
    if (failed := _unusable(patient, name, heard, parser=False)) is not None:
        return failed
    message = heard.message
    if message is None or "<think>" in message.text or "</think>" in message.text:
        return Result(name, Verdict.FAIL, "the thoughts come as text", remedies.thinking(patient.server))
    if not message.thinking:
        return Result(name, Verdict.WEAK, "the model did not think, although it was asked to")
    if not message.tool_calls:
        return Result(name, Verdict.WEAK, "the model thought and did not call")
    return Result(
        name, Verdict.PASS, f"{len(message.thinking)} characters of thoughts, then {_shown(message.tool_calls)}"
    )


async def _call(patient: Patient, name: str, request: Request, *, stream: bool) -> Result:
    if stream and not patient.streams:
        return Result(name, Verdict.SKIP, "nothing is streamed: see `streaming`")
    heard = await patient.ask(request, stream=stream)
    if (failed := _unusable(patient, name, heard)) is not None:
        return failed
    assert heard.message is not None, "an answer without error has a message"
    if not heard.message.tool_calls:
        forced = await _calls_or_forced(patient, heard, request)
        if forced is None:
            return Result(name, Verdict.WEAK, "the model did not call, also not when it was held to it")
        return Result(name, Verdict.WEAK, f"the model calls only when it is held to it: {_shown(forced)}")
    if patient.server is not None and not patient.parses:
        return Result(name, Verdict.PASS, f"{_shown(heard.message.tool_calls)}; left in the text, where qcode reads it")
    return Result(name, Verdict.PASS, _shown(heard.message.tool_calls))


def _unusable(patient: Patient, name: str, heard: Heard, *, parser: bool = True) -> Result | None:
    """The result where the server is to blame: an error, or a call that its parser left in the text or swallowed."""
    model = patient.found.model if patient.found else ""
    if heard.error is not None:
        return Result(name, Verdict.FAIL, str(heard.error), remedies.template(patient.server, model))
    message = heard.message
    if message is None or not parser or patient.server is None or not patient.parses or heard.native:
        return None
    if _CALL_IN_TEXT.search(heard.raw_text):
        read = "qcode reads it" if message.tool_calls else "and nobody reads it"
        detail = f"the server leaves the call in the text: its parser does not know this model's form; {read}"
        return Result(name, Verdict.FAIL, detail, remedies.parser(patient.server, patient.card, heard.raw_text))
    written = message.usage.completion_tokens
    if written >= 8 and len(message.text) + len(message.thinking) < written:
        detail = (
            f"the server counts {written} tokens and sends {len(message.text)} characters: its parser swallowed them"
        )
        return Result(name, Verdict.FAIL, detail, remedies.parser(patient.server, patient.card, heard.raw_text))
    return None


async def _calls_or_forced(patient: Patient, heard: Heard, request: Request) -> tuple[ToolCall, ...] | None:
    if heard.message is not None and heard.message.tool_calls:
        return heard.message.tool_calls
    forced = await patient.ask(replace(request, tool_choice="required"), stream=patient.streams)
    return forced.message.tool_calls or None if forced.message is not None else None


def _wrongly_typed(arguments: str) -> str:
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        return ""
    pairs = values.items() if isinstance(values, dict) else ()
    return ", ".join(f"{key}={value!r}" for key, value in pairs if isinstance(value, str))


def _shown(calls: tuple[ToolCall, ...]) -> str:
    first = calls[0]
    values = ", ".join(f"{key}={value!r}" for key, value in first.arguments.items())
    return f"{first.name}({values if len(values) <= 60 else values[:59] + '…'})"
