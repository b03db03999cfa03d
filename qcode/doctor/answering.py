"""Checks of how an answer comes: in pieces, at what speed, and whether it can be stopped."""

import asyncio
import re
import time
from collections.abc import Mapping

from qcode.backends.openai_compat.servers import Server
from qcode.doctor import remedies
from qcode.doctor.conversation import COUNT, plain
from qcode.doctor.patient import Patient
from qcode.doctor.result import Result, Verdict

_AT_ONCE = 1500.0
"""Tokens a second in one stream that no machine writes: they were written before and sent in one piece."""

STOPS_WITHIN_S = 5.0
"""Seconds after which nothing may be written any more for who hung up."""

_RUNNING = {
    Server.VLLM: "vllm:num_requests_running",
    Server.LLAMA: "llamacpp:requests_processing",
    Server.SGLANG: "sglang:num_running_reqs",
}


async def streaming(patient: Patient) -> list[Result]:
    """Does the answer come in pieces while it is written, and how fast?"""
    heard = await patient.ask(plain(COUNT, max_tokens=32))
    fix = remedies.streaming(patient.server)
    if heard.error is not None:
        whole = await patient.ask(plain("Say yes.", max_tokens=4), stream=False) if patient.server else heard
        if whole.error is not None:
            return [Result("streaming", Verdict.FAIL, str(heard.error), fix)]
        patient.streams = False
        return [Result("streaming", Verdict.FAIL, f"answers only in one piece: {heard.error}", fix)]
    assert heard.message is not None, "an answer without error has a message"
    pieces, spread = len(heard.arrivals), heard.arrivals[-1] - heard.arrivals[0] if heard.arrivals else 0.0
    writing = float(heard.timings.get("predicted_ms") or 0) / 1000
    rate = (pieces - 1) / spread if spread > 0 else float("inf")
    if pieces <= 1 or rate > _AT_ONCE or spread < 0.1 * writing:
        detail = f"{pieces} pieces within {1000 * spread:.0f} ms, after {heard.first_s:.1f} s"
        if pieces <= 1 and heard.message.usage.completion_tokens > 8:
            patient.streams = False
        return [Result("streaming", Verdict.FAIL, f"{detail}: held back until the answer was complete", fix)]
    tokens = heard.message.usage.completion_tokens or pieces
    speed = (tokens - 1) / writing if writing else rate
    figures: dict[str, float | int | None] = {"tokens_per_second": round(speed, 1), "tokens": tokens}
    return [
        Result("streaming", Verdict.PASS, f"{pieces} pieces over {spread:.1f} s"),
        Result("speed", Verdict.PASS, f"{speed:.1f} tokens a second are written", "", figures),
    ]


async def cancelling(patient: Patient) -> Result:
    """Does the server stop when nobody listens any more?"""
    name = "cancelling"
    if not patient.streams:
        return Result(name, Verdict.SKIP, "nothing is streamed: see `streaming`")
    before = await _running(patient)
    heard = await patient.ask(plain(COUNT, max_tokens=600), stop_after=3)
    if heard.error is not None:
        return Result(name, Verdict.FAIL, str(heard.error), remedies.cancelling(patient.server))
    hung_up = time.monotonic()
    # A server sees that nobody listens when it has written its next token.
    limit_s = STOPS_WITHIN_S + 4 * heard.pace_s
    if before is not None:
        while (now := await _running(patient)) is not None and now > before:
            if time.monotonic() - hung_up > limit_s:
                detail = f"still writing {limit_s:.0f} s after nobody listens"
                return Result(name, Verdict.FAIL, detail, remedies.cancelling(patient.server))
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - hung_up
        return Result(name, Verdict.PASS, f"stopped {seconds:.1f} s after the client hung up, as the server counts")
    after = await patient.ask(plain("Say yes.", max_tokens=2))
    seconds = time.monotonic() - hung_up
    figures = {"next_answer_s": round(seconds, 2)}
    if after.error is not None or seconds > limit_s + 2 * heard.first_s:
        return Result(
            name, Verdict.FAIL, f"the next answer waited {seconds:.1f} s", remedies.cancelling(patient.server), figures
        )
    return Result(name, Verdict.PASS, f"the next answer came after {seconds:.1f} s", "", figures)


async def _running(patient: Patient) -> int | None:
    """Requests that the server works on, None where it does not tell."""
    if patient.server is None:
        return None
    if patient.server is Server.LLAMA and isinstance(slots := await patient.get("/slots"), list):
        return sum(1 for slot in slots if isinstance(slot, Mapping) and slot.get("is_processing") is True)
    name = _RUNNING.get(patient.server)
    text = await patient.get("/metrics") if name else None
    if name is None or not isinstance(text, str):
        return None
    values = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})?\s+([0-9.e+]+)$", text, re.MULTILINE)
    return round(sum(map(float, values))) if values else None
