"""`make eval-agents`, `eval-toolsets`, `eval-best-of`: runs over the same tasks with one model, one after the other.

agents: qcode and three others, one of them in two ways. best-of: one attempt of qcode's against the best of eight.
toolsets: qcode with each of its tool sets, three runs each. What is finished is kept under --out, also after a kill -9:
the same command goes on, and `--seconds` stops it in good time. In the end, and whenever it stops, it prints what there
is as a table.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TURNS, SECONDS = 12, 900
"""Limits of an attempt, the same for all."""
OTHERS = ("aider", "mini-swe-agent", "qwen-code-bare", "qwen-code")
TOOLS = ("swe", "small", "qwen-code", "minimal")
GOES_ON = {0, 1, 4}
"""Exit codes of a run after which the next one is tried: attempts that failed with the machine are made again later."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One run: its name, which is its folder too, what is its own on the command line, and its attempts at a task."""

    name: str
    options: tuple[str, ...]
    repeat: int = 1


def arms(plan: str, workers: int, runs: int) -> list[Arm]:
    """The runs of a comparison; the first is what the others are compared with."""
    boxes = ("--workers", str(workers), "--requests", str(workers))
    single = Arm("agents-qcode", ("--agent", "qcode", *boxes))
    match plan:
        case "agents":
            return [single, *(Arm(f"agents-{other}", ("--agent", other, *boxes)) for other in OTHERS)]
        case "best-of":
            several = ("--agent", "qcode", "--attempts", "8", "--workers", str(max(1, workers // 8)))
            return [single, Arm("best-of-8", (*several, "--requests", str(workers)))]
        case _:
            repeat = ("--repeat", str(runs)) if runs > 1 else ()
            return [
                Arm(f"toolsets-{tools}", ("--agent", "qcode", "--tools", tools, *repeat, *boxes), runs)
                for tools in TOOLS
            ]


def run(chosen: Sequence[Arm], shared: Sequence[str], out: Path, until: float | None) -> int:
    """Make the runs as far as there is time; how the last of them ended."""
    from qcode_evals.cli import main
    from qcode_evals.score import STOPPED

    worst = 0
    for arm in chosen:
        left = None if until is None else int(until - time.monotonic())
        if left is not None and left < 1:
            return STOPPED
        limit = () if left is None else ("--stop-after", str(left))
        print(f"== {arm.name}", file=sys.stderr, flush=True)
        code = main([*shared, *arm.options, "--out", str(out / arm.name), "--resume", *limit])
        if code not in GOES_ON:
            return code
        worst = max(worst, code)
    return worst


def report(chosen: Sequence[Arm], out: Path, tasks: int) -> Iterator[str]:
    """The table of what is finished, and how each run stands to the first where both have tasks."""
    from qcode.errors import ConfigError
    from qcode_evals.reports.compare import compared, read_attempts
    from qcode_evals.reports.table import row, table

    found = {}
    for arm in chosen:
        try:
            found[arm.name] = read_attempts(out / arm.name)
        except ConfigError:
            continue
    yield from table([row(a.name, found[a.name], expected=tasks * a.repeat) for a in chosen if a.name in found])
    first, *others = chosen
    for other in others:
        if first.name in found and other.name in found:
            yield from ("", f"A is {first.name}, B is {other.name}", *compared(found[first.name], found[other.name]))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("plan", choices=["agents", "best-of", "toolsets"])
    top.add_argument("--dataset", type=Path, required=True)
    top.add_argument("--out", type=Path, required=True, help="folder for all of them, one each")
    top.add_argument("--model", help="as for qcode-evals")
    top.add_argument("--base-url", help="as for qcode-evals; needed for other agents than qcode")
    top.add_argument("--workers", type=int, default=8, help="sandboxes, and requests, at a time (default: 8)")
    top.add_argument("--runs", type=int, default=3, help="attempts at a task with each tool set (default: 3)")
    top.add_argument("--limit", type=int, help="only the first tasks")
    top.add_argument("--seconds", type=int, help="stop after that; the same command goes on where it stopped")
    top.add_argument("--only", action="append", default=[], metavar="NAME", help="of the runs; may be repeated")
    return top


def main() -> int:
    from qcode.errors import ConfigError
    from qcode_evals.tasks.dataset import load, select

    args = parser().parse_args()
    until = None if args.seconds is None else time.monotonic() + args.seconds
    chosen = [arm for arm in arms(args.plan, args.workers, args.runs) if not args.only or arm.name in args.only]
    try:
        tasks = len(select(load(args.dataset), limit=args.limit))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if not chosen:
        print(f"no run is called {args.only[0]}", file=sys.stderr)
        return 2
    shared = ["--dataset", str(args.dataset), "--max-turns", str(TURNS), "--max-seconds", str(SECONDS)]
    for option, value in (("--model", args.model), ("--base-url", args.base_url), ("--limit", args.limit)):
        shared += [option, str(value)] if value is not None else []
    code = run(chosen, shared, args.out, until)
    print("\n".join(report(chosen, args.out, tasks)))
    return code


if __name__ == "__main__":
    sys.exit(main())
