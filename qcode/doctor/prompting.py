"""Checks of what becomes of a prompt: is all of it read, in our order, and is what was read kept?"""

import time
from dataclasses import replace

from qcode.doctor import remedies
from qcode.doctor.conversation import COUNT, LONGER, SECRET, Question, long_prompt, next_turn, plain, question
from qcode.doctor.patient import Patient
from qcode.doctor.result import Result, Verdict

SLOW_FIRST_S = 5.0
"""Seconds that the first token of a prompt that is already known may take."""

_ENOUGH = 0.97
"""Share of the expected tokens that must have been read."""

_LOST = (0.2, 160)
"""Of a prompt, as a share or in tokens, what may be read again at its next turn: servers keep whole blocks only, vLLM
on a processor of 128 tokens."""


async def template(patient: Patient) -> Result:
    """Are system and tool messages taken in our order, and does each part make the prompt longer?"""
    name = "messages"
    model = patient.found.model if patient.found else ""
    fix = remedies.template(patient.server, model)
    asked = question(Question.SHOW, max_tokens=1)
    hello = plain("Say yes.", system="", max_tokens=1)
    parts = {
        "the system message": (hello, replace(hello, system="Be kind. " * 12), 20),
        "the tools": (replace(asked, tools=()), asked, 40),
        "a tool's result": (next_turn(asked, content="ok"), next_turn(asked, content=LONGER), 10),
    }
    seen = {}
    for part, (without, with_it, least) in parts.items():
        lengths = []
        for request in (without, with_it):
            heard = await patient.ask(request, stream=patient.streams)
            if heard.error is not None:
                return Result(name, Verdict.FAIL, str(heard.error), fix)
            lengths.append(heard.message.usage.prompt_tokens if heard.message else 0)
        if not all(lengths):
            return Result(name, Verdict.SKIP, "taken; the server does not count tokens, so what it reads is not known")
        seen[part] = lengths[1] - lengths[0]
        if seen[part] < least:
            return Result(name, Verdict.FAIL, f"{part}: not in the prompt, which grew by {seen[part]} tokens", fix)
    return Result(name, Verdict.PASS, "system, tools and results are all in the prompt", "", seen)


async def long(patient: Patient, *, tokens: int) -> Result:
    """Does the model see the first line of a prompt of about so many tokens?"""
    name = "long prompt"
    sizes: dict[int, int] = {}
    for lines in (4, 12):
        request = plain(long_prompt(lines), max_tokens=1)
        counted = await patient.count(request)
        if counted is None:
            heard = await patient.ask(request, stream=patient.streams)
            counted = heard.message.usage.prompt_tokens if heard.message else 0
        sizes[lines] = counted
    a_line = (sizes[12] - sizes[4]) / 8
    lines = max(16, round((tokens - sizes[4]) / a_line)) if a_line > 0 else tokens // 13
    expected = round(sizes[4] + (lines - 4) * a_line)
    heard = await patient.ask(plain(long_prompt(lines), max_tokens=16), stream=patient.streams)
    model = patient.found.model if patient.found else ""
    if heard.error is not None:
        return Result(name, Verdict.FAIL, str(heard.error), remedies.window(patient.server, model))
    assert heard.message is not None, "an answer without error has a message"
    read = heard.message.usage.prompt_tokens
    figures = {"expected": expected, "read": read, "seconds": round(heard.seconds, 1)}
    remembered = SECRET in heard.message.text
    if a_line > 0 and read and read < _ENOUGH * expected:
        detail = f"{read} of {expected} tokens were read: the prompt is cut without a word"
        return Result(
            name, Verdict.FAIL, detail, f"{remedies.window(patient.server, model)}; {remedies.PROXY}", figures
        )
    if remembered:
        return Result(name, Verdict.PASS, f"{read or expected} tokens, its first line seen", "", figures)
    if a_line > 0 and read:
        return Result(
            name, Verdict.WEAK, f"all {read} tokens were read, but the model did not say the word", "", figures
        )
    return Result(name, Verdict.FAIL, "the first line was not seen", remedies.window(patient.server, model), figures)


async def cache(patient: Patient) -> Result:
    """Is the prompt of the first turn kept for the second?"""
    name = "prefix cache"
    first = question(Question.SHOW, max_tokens=1)
    # A beginning that no earlier prompt had, so that the first reading is a real one.
    first = replace(first, system=f"{first.system} Session {time.time_ns():x}.")
    cold = await patient.ask(first, stream=patient.streams)
    warm = await patient.ask(next_turn(first, content=LONGER), stream=patient.streams)
    for heard in (cold, warm):
        if heard.message is None:
            return Result(name, Verdict.FAIL, str(heard.error), remedies.prefix_cache(patient.server))
    assert cold.message is not None
    assert warm.message is not None
    length, kept = cold.message.usage.prompt_tokens, warm.message.usage.cached_tokens
    figures = {
        "first_turn": length,
        "cached": kept,
        "first_s": round(cold.first_s, 2),
        "second_s": round(warm.first_s, 2),
    }
    fix = remedies.prefix_cache(patient.server)
    if warm.cache_told:
        detail = f"{kept} of the first turn's {length} tokens were kept for the second"
        if kept and length - kept <= max(_LOST[0] * length, _LOST[1]):
            return Result(name, Verdict.PASS, detail, "", figures)
        return Result(name, Verdict.FAIL, detail, fix, figures)
    detail = f"first token after {cold.first_s:.2f} s, then after {warm.first_s:.2f} s; the server does not count it"
    if warm.first_s < 0.6 * cold.first_s:
        return Result(name, Verdict.PASS, detail, remedies.told_cache(patient.server), figures)
    if cold.first_s < 0.5:
        return Result(
            name, Verdict.SKIP, f"too fast to tell by time ({detail})", remedies.told_cache(patient.server), figures
        )
    return Result(name, Verdict.FAIL, detail, fix, figures)


async def first_token(patient: Patient) -> Result:
    """How long does a prompt wait that was just read?"""
    name = "first token"
    request = question(Question.SHOW, max_tokens=1)
    if not patient.streams:
        return Result(name, Verdict.SKIP, "nothing is streamed: see `streaming`")
    await patient.ask(request)
    heard = await patient.ask(request)
    if heard.error is not None:
        return Result(name, Verdict.FAIL, str(heard.error), remedies.first_token(patient.server))
    pace = (await patient.ask(plain(COUNT, max_tokens=4))).pace_s
    seconds, own = heard.first_s, float(heard.timings.get("prompt_ms") or 0) / 1000
    figures = {"seconds": round(seconds, 2)}
    between = bool(own) and seconds - own > SLOW_FIRST_S
    # Where a token takes seconds, a first one does too: that is the machine, and no setting.
    if not between and seconds <= SLOW_FIRST_S + 4 * pace:
        return Result(name, Verdict.PASS, f"after {seconds:.2f} s, of a prompt that is known", "", figures)
    detail = f"after {seconds:.1f} s, although the prompt is known"
    if between:
        detail += f"; the server itself says {own:.1f} s: something in between waits"
    return Result(name, Verdict.FAIL, detail, remedies.first_token(patient.server), figures)
