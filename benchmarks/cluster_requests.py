"""`make bench-ray`, second part: how many requests the sandboxes of a Ray cluster have with a server at a time.

Four sandboxes, with and without `--requests 2`, and with a server that refuses more than two. Fails unless all four ask
at a time where nothing limits them, and two where something does.
"""

import asyncio
import json
import os
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

from cluster import Quiet
from openai_server import OpenAIServer
from scale import row

SLOTS, ATTEMPTS = 4, 10
ANSWER_S = 8.0
"""Of each answer: processes that make attempts start seconds apart on a busy machine."""


class Counting(OpenAIServer):
    """`most` requests were with it at a time; it refuses more than `takes`."""

    def __init__(self, takes: int) -> None:
        super().__init__([{"text": "done"}])
        self.takes = takes
        self.present = self.most = self.refused = 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Any) -> bool:
        if self.present >= self.takes:
            self.refused += 1
            return await self._plain(writer, 429, {"error": {"message": "too many requests"}}, {"Retry-After": "1"})
        self.present += 1
        self.most = max(self.most, self.present)
        try:
            await asyncio.sleep(ANSWER_S)
        finally:
            self.present -= 1
        return await super()._answer(reader, writer, reply)


async def asked(instance: Any, *, requests: int, tuned: bool, takes: int = 99) -> tuple[Counting, str]:
    from qcode.app.options import RunOptions
    from qcode_evals.attempt import Outcome
    from qcode_evals.running.executors.ray import RayExecutor
    from qcode_evals.running.making import Job
    from qcode_evals.running.plans import Plan

    server = Counting(takes)
    url = await server.start()
    try:
        plan = Plan("qcode", RunOptions(repo=Path(), base_url=url, max_turns=2), requests, boxes="process", tuned=tuned)
        executor = RayExecutor(plan, Quiet(), SLOTS, None)
        jobs = [Job(instance, number, "key") for number in range(ATTEMPTS)]
        async with aclosing(executor.run(jobs)) as finished:
            outcomes = [made.attempt.outcome async for made in finished]
        assert outcomes == [Outcome.EMPTY_PATCH] * ATTEMPTS, outcomes
    finally:
        await server.stop()
    return server, executor.pace


async def measure() -> list[str]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "600000"}
    from qcode_evals.tasks.dataset import load

    with tempfile.TemporaryDirectory(prefix="qcode-bench-") as name:
        (Path(name) / "row.jsonl").write_text(json.dumps(row()) + "\n", encoding="utf-8")
        (instance,) = load(Path(name) / "row.jsonl")
    began = time.monotonic()
    free, _ = await asked(instance, requests=SLOTS, tuned=False)
    held, _ = await asked(instance, requests=2, tuned=False)
    tuned, pace = await asked(instance, requests=SLOTS, tuned=True, takes=2)
    wall = time.monotonic() - began
    lines = [
        f"{SLOTS} sandboxes: {free.most} requests at a time without a limit, {held.most} with --requests 2, "
        f"{tuned.most} and {tuned.refused} refusals where the server takes 2 ({pace}); {wall:.0f} s"
    ]
    if (free.most, held.most, tuned.most) != (SLOTS, 2, 2) or "it refused more" not in pace:
        raise SystemExit("\n".join([*lines, "not good enough"]))
    return lines


if __name__ == "__main__":
    print("\n".join(asyncio.run(measure())))
