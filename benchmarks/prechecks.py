"""Tokens that the checks of half-written calls save: the product works on a data set's tasks as always, but no answer
is stopped, and what was written after the moment at which it would have been is counted.

python -P benchmarks/prechecks.py --dataset FILE --model NAME --out DIR [--base-url URL] [--limit N] [--workers N]
python -P benchmarks/prechecks.py --dataset FILE --replay DIR --out DIR

--replay takes the answers from the sessions in the logs of an evaluation whose model wrote every call to its end.
The same answers are compared with themselves, so nothing but the checks differs. An answer's tokens after that moment
are its tokens times the share of its characters (of text and arguments) that came after it.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from qcode.agent.limits import Limits
from qcode.agent.profile import PROFILES
from qcode.app.model_choice import choose_model
from qcode.app.options import RunOptions
from qcode.app.solve import Solve
from qcode.codec import render
from qcode.deltas import EngineRestarted, Retrying, TextDelta, ThinkingDelta, ToolCallDelta
from qcode.events import AssistantDone, SessionStarted
from qcode.messages import Assistant
from qcode.model import Backend, BackendInfo, Delta, Request
from qcode.session.log import read_log
from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.tasks.dataset import Instance, load, select
from qcode_sandbox.pip_settings import pip_settings
from qcode_tools.toolsets import build_toolset

PACE_S = 0.05
"""Of a replay, for 4 characters, which are about a token: the middle of what small models need on two cores."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: its tokens, and those that would not have been written; `call` is the call that was lost."""

    tokens: int
    saved: int
    call: str
    calls: int


class Unstopped:
    """Another backend whose answers are never stopped."""

    def __init__(self, backend: Backend, answers: list[Seen]) -> None:
        self._backend = backend
        self._answers = answers

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
        self._answers.append(Seen(tokens, saved, name if lost_at is not None else "", len(answer.tool_calls)))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--base-url")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--tools", choices=list(PROFILES))
    parser.add_argument("--no-constrain", action="store_true")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--max-turns", type=int, default=12)
    parser.add_argument("--max-seconds", type=float, default=600.0)
    args = parser.parse_args()
    options = RunOptions(
        repo=Path(), model=args.model, base_url=args.base_url, tools=args.tools, seed=args.seed,
        constrain=not args.no_constrain, slots=args.workers,
    )  # fmt: skip
    limits = Limits(max_turns=args.max_turns, max_seconds=args.max_seconds)
    instances = select(load(args.dataset), limit=args.limit)
    images = Images(await pip_settings())
    answers: list[Seen] = []
    shared = None if args.replay else choose_model(options)
    names: list[str] = []
    places = asyncio.Semaphore(args.workers)

    async def work(instance: Instance) -> None:
        chosen = shared
        if chosen is None:
            found = recorded(args.replay / "logs" / instance.instance_id, args.out / f"{instance.instance_id}.script")
            if found is None:
                return
            name, scripted = found
            chosen = choose_model(scripted)
        else:
            name = chosen.backend.info.model
        names.append(name)
        async with places:
            image = await images.ensure(instance)
            solve = Solve(
                task=instance.problem_statement,
                backend=Unstopped(chosen.backend, answers),
                open_sandbox=partial(open_box, instance, image),
                sandbox_name="docker",
                toolset=build_toolset(chosen.toolset),
                profile=PROFILES[chosen.toolset],
                limits=limits,
                sampling=chosen.sampling,
                cwd=Path(instance.environment.workdir),
                session_dir=args.out / instance.instance_id,
            )
            async with aclosing(solve.events()) as events:
                async for _ in events:
                    pass
        reason = solve.outcome.reason if solve.outcome else "broken off"
        print(f"{instance.instance_id}: {reason}", file=sys.stderr, flush=True)

    try:
        async with asyncio.TaskGroup() as group:
            for instance in instances:
                group.create_task(work(instance))
    finally:
        if shared is not None:
            await shared.backend.aclose()
        print("\n".join(report(answers, ", ".join(sorted(set(names))), len(names))))


def recorded(folder: Path, script: Path) -> tuple[str, RunOptions] | None:
    """The model of the session that lies in a folder, and a scripted one that writes its answers, at a model's pace."""
    log = next(iter(sorted(folder.glob("*.jsonl"))), None)
    if log is None:
        return None
    started, *events = read_log(log)
    assert isinstance(started, SessionStarted)
    tools = started.settings["toolset"]
    messages = [event.message for event in events if isinstance(event, AssistantDone)]
    if not messages or not set(started.tools) <= {spec.name for spec in build_toolset(tools).specs}:
        return None
    script.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"text": text_of(message), "chunk": 4, "pace_s": PACE_S,
         "usage": {"completion_tokens": message.usage.completion_tokens}}
        for message in messages
    ]  # fmt: skip
    script.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return started.model, RunOptions(repo=Path(), model=f"scripted:{script}", tools=tools)


def text_of(message: Assistant) -> str:
    """What the model wrote."""
    turn = render("", (message,), (), generation_prompt=False)
    return message.written or turn.removeprefix("<|im_start|>assistant\n").removesuffix("<|im_end|>\n")


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
