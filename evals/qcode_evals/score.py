"""A run as the command line asks for it: what it can show, its parts put together, and what came of it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcode.app.options import RunOptions
    from qcode_evals.attempt import Attempt
    from qcode_evals.running.controls import Controls
    from qcode_evals.server.counts import Counts
    from qcode_evals.tasks.dataset import Instance

STOPPED = 3
"""Exit code of a run that --stop-after ended."""


async def scored(args: argparse.Namespace) -> int:
    """Make the run that `cli.parser` reads; its exit code. Raises: QcodeError, SandboxError, OSError."""
    import asyncio

    from qcode.cli.signals import cancel_on_signals
    from qcode.errors import ConfigError
    from qcode_evals.running.controls import Controls
    from qcode_evals.running.executors.local import LocalExecutor
    from qcode_evals.running.executors.protocol import Executor
    from qcode_evals.running.executors.ray import RayExecutor
    from qcode_evals.running.making import Maker
    from qcode_evals.running.plans import Plan
    from qcode_evals.running.progress import progress_for
    from qcode_evals.running.results import Results
    from qcode_evals.running.run import Run
    from qcode_evals.server.counts import counts_of
    from qcode_evals.server.presence import Outage
    from qcode_evals.tasks.dataset import load, select

    instances = select(load(args.dataset), ids=tuple(args.instance), limit=args.limit)
    if args.attempts > 1 and any(instance.environment.verifier for instance in instances):
        raise ConfigError(
            "--attempts cannot choose between containers: tasks with a test script are tried once (--repeat)"
        )
    results = Results(args.out.absolute(), resume=args.resume)
    controls = Controls()
    _announce(args, instances, controls)
    progress = progress_for(len(instances) * args.repeat, verbose=args.verbose)
    requests, tuned = args.requests or args.workers * args.attempts, args.requests is None
    if args.attempts > 1 and args.agent != "qcode":
        raise ConfigError("--attempts chooses between attempts of --agent qcode; --repeat repeats any agent")
    plan = Plan(
        args.agent, _options(args, requests), requests, args.attempts, disk_floor_gb=args.disk_floor, tuned=tuned
    )
    agent = plan.agent()
    key = os.environ.get("QCODE_API_KEY")
    before = await counts_of(args.base_url, key) if args.base_url else None
    until = asyncio.timeout(args.stop_after)
    executor: Executor | None = None
    try:
        with cancel_on_signals(asyncio.current_task()):
            outage = Outage(patience_s=args.wait_for_server, note=progress.note)
            if args.executor == "ray":
                executor = RayExecutor(plan, progress, args.workers, args.ray_address, outage)
            else:
                images, open_box = await plan.environments(progress.build, progress.note)
                maker = Maker(agent, images, open_box, progress, results.folder)
                executor = LocalExecutor(maker, args.workers, outage)
            run = Run(instances, agent, executor, results, progress, controls, args.repeat)
            try:
                with progress:
                    async with until:
                        attempts = await run.run()
            finally:
                results.finish([instance.instance_id for instance in instances])
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except TimeoutError:
        if not until.expired():
            raise
        _notice(f"qcode-evals: {args.stop_after} s are over; what is finished is in {args.out}, --resume continues")
        return STOPPED
    finally:
        if executor is not None and executor.pace:
            _notice(executor.pace)
        await agent.aclose()
    after = await counts_of(args.base_url, key) if before is not None else None
    served = after.since(before) if before is not None and after is not None else None
    return _summary(args, instances, attempts, controls, served)


def _options(args: argparse.Namespace, requests: int) -> "RunOptions":
    from qcode.app.best_of import MOST_SLOTS
    from qcode.app.options import RunOptions

    return RunOptions(
        repo=Path(),
        model=args.model,
        base_url=args.base_url,
        tools=args.tools,
        constrain=not args.no_constrain,
        temperature=args.temperature,
        seed=args.seed,
        max_turns=args.max_turns,
        max_tokens=args.max_tokens,
        max_seconds=args.max_seconds,
        slots=min(requests, max(args.workers, MOST_SLOTS)),
        notice=_notice,
    )


def _notice(line: str) -> None:
    print(line, file=sys.stderr)


def _announce(args: argparse.Namespace, instances: "Sequence[Instance]", controls: "Controls") -> None:
    """Say before it starts what a run of this size can show."""
    from qcode_evals.running.controls import CONTROLS
    from qcode_evals.statistics import FLIPS, smallest_difference

    if args.agent in CONTROLS:
        return
    least = smallest_difference(len(instances))
    shown = f"a difference of {least * 100:.0f} points or more" if least is not None else "no difference at all"
    print(
        f"{len(instances)} tasks: against another run over them this can show {shown} (at 5 %, in 4 of 5 cases, if "
        f"{FLIPS:.0%} of the tasks differ between two runs anyway)\n{controls.summary(instances)}",
        file=sys.stderr,
    )


def _summary(
    args: argparse.Namespace,
    instances: "Sequence[Instance]",
    attempts: "Sequence[Attempt]",
    controls: "Controls",
    served: "Counts | None",
) -> int:
    from qcode.ui.sanitize import visible
    from qcode_evals.attempt import Outcome
    from qcode_evals.reports.pages import PAGE, page
    from qcode_evals.reports.scoring import summary
    from qcode_evals.running.results import writing

    told = controls.summary(instances)
    with writing(args.out):
        (args.out / PAGE).write_text(page(args.out, attempts, controls=told, price=args.price), encoding="utf-8")
    lines = summary(attempts, price=args.price)
    if served is not None:
        lines.append(f"the server's own count of tokens, of all its clients meanwhile: {served}")
    for line in [*lines, told, f"results: {args.out}, in a browser {args.out / PAGE}"]:
        print(visible(line))
    wrong = [a for a in attempts if args.expect_resolved and a.resolved is not (args.expect_resolved == "all")]
    for attempt in wrong:
        print(f"not as expected: {attempt.instance_id} is {attempt.outcome}", file=sys.stderr)
    if wrong:
        return 1
    return 4 if any(attempt.outcome is Outcome.INFRA_ERROR for attempt in attempts) else 0
