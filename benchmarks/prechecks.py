"""Tokens that the checks of half-written calls save: the product works on a data set's tasks as always, but no answer
is stopped, and what was written after the moment at which it would have been is counted.

python -P benchmarks/prechecks.py --dataset FILE --model NAME --out DIR [--base-url URL] [--limit N] [--max-turns N]

The same answers are compared with themselves, so nothing but the checks differs. An answer's tokens after that moment
are its tokens times the share of its characters (of text and arguments) that came after it.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from qcode.app.wiring import RunOptions
from qcode.events import EngineRestarted, Retrying, TextDelta, ThinkingDelta, ToolCallDelta
from qcode.messages import Assistant
from qcode.model import Backend, BackendInfo, Delta, Request
from qcode_evals.boxes import open_box
from qcode_evals.dataset import load, select
from qcode_evals.environment import Images
from qcode_evals.product import product
from qcode_evals.progress import progress_for
from qcode_evals.report import Results
from qcode_evals.run import Run
from qcode_evals.sources import pip_settings


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: its tokens, and those that would not have been written; `call` is the call that was lost."""

    tokens: int
    saved: int
    call: str
    calls: int


class Unstopped:
    """Another backend whose answers are never stopped."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.answers: list[Seen] = []

    @property
    def info(self) -> BackendInfo:
        return self._backend.info

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        written = 0
        lost_at: int | None = None
        async with aclosing(self._backend.stream(replace(request, stopped=lambda: False))) as stream:
            async for item in stream:
                match item:
                    case Assistant():
                        self._note(item, written, lost_at)
                    case TextDelta(text=text) | ThinkingDelta(text=text) | ToolCallDelta(text=text):
                        written += len(text)
                    case Retrying() | EngineRestarted():
                        written, lost_at = 0, None
                yield item
                if lost_at is None and request.stopped():
                    lost_at = written

    async def count_tokens(self, request: Request) -> int | None:
        return await self._backend.count_tokens(request)

    async def aclose(self) -> None:
        await self._backend.aclose()

    def _note(self, answer: Assistant, written: int, lost_at: int | None) -> None:
        tokens = answer.usage.completion_tokens
        saved = 0 if lost_at is None else round(tokens * (written - lost_at) / max(1, written))
        name = answer.tool_calls[-1].name if answer.tool_calls else ""
        self.answers.append(Seen(tokens, saved, name if lost_at is not None else "", len(answer.tool_calls)))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--base-url")
    parser.add_argument("--tools", choices=["swe", "small"])
    parser.add_argument("--no-constrain", action="store_true")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--max-turns", type=int, default=12)
    parser.add_argument("--max-seconds", type=float, default=600.0)
    args = parser.parse_args()
    options = RunOptions(
        repo=Path(), model=args.model, base_url=args.base_url, tools=args.tools, seed=args.seed,
        constrain=not args.no_constrain, max_turns=args.max_turns, max_seconds=args.max_seconds,
    )  # fmt: skip
    results = Results(args.out.absolute(), resume=False)
    agent = product(options, results.folder)
    unstopped = Unstopped(agent.chosen.backend)
    agent = replace(agent, chosen=replace(agent.chosen, backend=unstopped))
    instances = select(load(args.dataset), limit=args.limit)
    progress = progress_for(len(instances), verbose=False)
    images = Images(await pip_settings(), on_build=progress.build)
    run = Run(
        instances=instances, agent=agent, images=images, open_box=open_box, results=results, progress=progress,
        workers=1,
    )  # fmt: skip
    try:
        with progress:
            await run.run()
    finally:
        results.finish([instance.instance_id for instance in instances])
        await agent.aclose()
        print("\n".join(report(unstopped.answers, agent.model, len(instances))))


def report(answers: list[Seen], model: str, tasks: int) -> list[str]:
    lost = [seen for seen in answers if seen.call]
    tokens, saved = sum(seen.tokens for seen in answers), sum(seen.saved for seen in answers)
    names = ", ".join(f"{count} {name}" for name, count in Counter(seen.call for seen in lost).most_common()) or "none"
    calls, of_lost = sum(seen.calls for seen in answers), sum(seen.tokens for seen in lost)
    return [
        f"{model}, {tasks} tasks: {len(answers)} answers with {calls} calls, {tokens} tokens",
        f"calls that were lost while they were written: {len(lost)} ({names})",
        f"tokens saved: {saved} of the {of_lost} of their answers ({_share(saved, of_lost)}); "
        f"{_share(saved, tokens)} of all",
    ]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
