"""`qcode-evals`: score an agent over the instances of a data set."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcode_evals.agents import Agent
    from qcode_evals.attempt import Attempt
    from qcode_evals.dataset import Instance

EPILOG = """\
examples:
  qcode-evals --dataset instances.jsonl --agent gold --out build/gold --expect-resolved all
  qcode-evals --dataset quixbugs.jsonl --agent qcode --model qwen2.5-coder-1.5b --workers 2 --out build/quixbugs
  qcode-evals --dataset quixbugs.jsonl --agent qcode --out build/quixbugs --resume

exit codes: 0 every attempt was judged · 1 --expect-resolved is not met · 2 wrong usage ·
            4 some attempts failed for reasons of infrastructure, or nothing could start · 130 interrupted
"""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="qcode-evals",
        description="Give every instance of a SWE-bench data set its own container, let the agent work on it, judge "
        "its patch in a fresh one, and write predictions.jsonl and report.json as SWE-bench does.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--dataset", type=Path, required=True, metavar="FILE", help="instances, one JSON object a line")
    top.add_argument(
        "--agent", choices=["gold", "empty", "qcode"], required=True,
        help="gold: the data set's own patches; empty: no patch, judged all the same; qcode: this agent",
    )  # fmt: skip
    top.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results and logs go")
    top.add_argument("--workers", type=_positive, default=1, metavar="N", help="attempts at a time (default: 1)")
    top.add_argument("--instance", action="append", default=[], metavar="ID", help="only this one; may be repeated")
    top.add_argument("--limit", type=_positive, metavar="N", help="only the first N")
    top.add_argument("--resume", action="store_true", help="keep what an earlier run into --out finished")
    top.add_argument(
        "--expect-resolved", choices=["all", "none"], metavar="all|none",
        help="leave with 1 unless every instance is resolved (for gold), or none is (for empty)",
    )  # fmt: skip
    top.add_argument("--verbose", action="store_true", help="say every phase and every line of the builds")
    model = top.add_argument_group("the model of --agent qcode")
    model.add_argument("--model", metavar="NAME", help="as for qcode run")
    model.add_argument("--base-url", metavar="URL", help="as for qcode run")
    model.add_argument("--tools", choices=["swe", "small"], help="tool set (default: what suits the model)")
    model.add_argument("--temperature", type=float, metavar="T", help="instead of the model's recommended one")
    model.add_argument("--seed", type=int, metavar="N", help="make sampling repeatable")
    limits = top.add_argument_group("limits of one attempt of --agent qcode")
    limits.add_argument(
        "--max-turns", type=_positive, default=50, metavar="N", help="answers of the model (default: 50)"
    )
    limits.add_argument("--max-tokens", type=_positive, metavar="N", help="tokens evaluated (not cached) and written")
    limits.add_argument("--max-seconds", type=_positive, metavar="S", help="wall time")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; errors made for the user become one line on stderr and their exit code."""
    import asyncio

    from qcode.errors import QcodeError
    from qcode.ui.sanitize import visible
    from qcode_sandbox.errors import SandboxError

    args = parser().parse_args(argv)
    try:
        return asyncio.run(_main(args))
    except (QcodeError, SandboxError) as error:
        print(f"qcode-evals: {visible(' '.join(str(error).split()))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"qcode-evals: interrupted; what is finished is in {args.out}, --resume continues", file=sys.stderr)
        return 130


async def _main(args: argparse.Namespace) -> int:
    import asyncio

    from qcode.cli.signals import cancel_on_signals
    from qcode_evals.boxes import open_box
    from qcode_evals.dataset import load, select
    from qcode_evals.environment import Images
    from qcode_evals.progress import progress_for
    from qcode_evals.report import Results
    from qcode_evals.run import Run
    from qcode_evals.sources import pip_settings

    instances = select(load(args.dataset), ids=tuple(args.instance), limit=args.limit)
    results = Results(args.out.absolute(), resume=args.resume)
    progress = progress_for(len(instances), verbose=args.verbose)
    agent = _agent(args, results.folder)
    try:
        with cancel_on_signals(asyncio.current_task()):
            run = Run(
                instances=instances,
                agent=agent,
                images=Images(await pip_settings(), on_build=progress.build),
                open_box=open_box,
                results=results,
                progress=progress,
                workers=args.workers,
            )
            try:
                with progress:
                    attempts = await run.run()
            finally:
                results.finish([instance.instance_id for instance in instances])
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        await agent.aclose()
    return _summary(args, instances, attempts)


def _agent(args: argparse.Namespace, folder: Path) -> "Agent":
    from qcode_evals.agents import Empty, Gold

    match args.agent:
        case "gold":
            return Gold()
        case "empty":
            return Empty()
        case _:
            from qcode.app.wiring import RunOptions
            from qcode_evals.product import product

            options = RunOptions(
                repo=Path(),
                model=args.model,
                base_url=args.base_url,
                tools=args.tools,
                temperature=args.temperature,
                seed=args.seed,
                max_turns=args.max_turns,
                max_tokens=args.max_tokens,
                max_seconds=args.max_seconds,
                slots=args.workers,
                notice=lambda line: print(line, file=sys.stderr),
            )
            return product(options, folder)


def _summary(args: argparse.Namespace, instances: "Sequence[Instance]", attempts: "Sequence[Attempt]") -> int:
    from collections import Counter

    from qcode.messages import Usage
    from qcode_evals.attempt import Outcome

    outcomes = Counter(attempt.outcome for attempt in attempts)
    resolved = outcomes[Outcome.RESOLVED]
    print(f"{resolved} of {len(instances)} resolved: " + ", ".join(f"{n} {name}" for name, n in outcomes.most_common()))
    usage = sum((attempt.usage for attempt in attempts), Usage())
    if usage.requests:
        print(
            f"tokens: {usage.prompt_tokens:,} prompt ({usage.cached_tokens:,} cached), "
            f"{usage.completion_tokens:,} written, in {usage.requests:,} requests"
        )
    print(f"seconds: {sum(attempt.seconds.total for attempt in attempts):,.1f} in all attempts; results: {args.out}")
    wrong = [a for a in attempts if args.expect_resolved and a.resolved is not (args.expect_resolved == "all")]
    for attempt in wrong:
        print(f"not as expected: {attempt.instance_id} is {attempt.outcome}", file=sys.stderr)
    if wrong:
        return 1
    return 4 if outcomes[Outcome.INFRA_ERROR] else 0
