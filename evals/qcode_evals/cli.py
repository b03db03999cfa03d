"""`qcode-evals`: score an agent over the instances of a data set."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qcode.cli.arguments import between, positive
from qcode_evals.environments.room import FLOOR_GB
from qcode_evals.server.presence import PATIENCE_S

if TYPE_CHECKING:
    from qcode_evals.reports.scoring import Price

COMMANDS = {
    "export": ("training.export", "write trajectories as training data"),
    "adapt": ("mining.adapt", "make tasks from a checkout of QuixBugs or of Aider's polyglot benchmark"),
    "mine": ("mining.command", "make tasks from the history of a git repository"),
    "compare": ("reports.compare", "say whether one run resolves more than another"),
    "table": ("reports.table", "print several runs side by side"),
    "prune": ("environments.pruning", "remove images of tasks that are not in use"),
    "official": ("reports.official", "have a run's logs graded by the official swebench package too"),
    "report": ("reports.pages", "write a run's page again"),
    "submission": ("reports.submission", "make the folder that SWE-bench's repository of experiments takes"),
}
"""Further commands, each with its module, which has a `main`; without one of them, a run is meant."""

EPILOG = """\
further commands (each has --help):
{commands}

examples:
  qcode-evals --dataset instances.jsonl --agent gold --repeat 5 --workers 2 --out build/controls
  qcode-evals --dataset instances.jsonl --agent gold --out build/gold --expect-resolved all
  qcode-evals --dataset quixbugs.jsonl --agent qcode --model qwen2.5-coder-1.5b --workers 2 --out build/quixbugs
  qcode-evals --dataset quixbugs.jsonl --agent qcode --out build/quixbugs --resume

exit codes: 0 every attempt was judged · 1 --expect-resolved is not met · 2 wrong usage · 3 stopped: --stop-after is
            over, or the model's server stayed away · 4 some attempts failed for reasons of infrastructure, or nothing
            could start or be written · 130 interrupted
"""


def _price(text: str) -> "Price":
    from qcode_evals.reports.scoring import Price

    try:
        read, cached, written = map(between(0), text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three prices, such as 0.2,0.02,0.8") from None
    return Price(read, cached, written)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="qcode-evals",
        description="Give every instance of a SWE-bench data set its own container, let the agent work on it, judge "
        "its patch in a fresh one, and write predictions.jsonl and report.json as SWE-bench does.",
        epilog=EPILOG.format(commands="\n".join(f"  {name:<11} {what}" for name, (_, what) in COMMANDS.items())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--dataset", type=Path, required=True, metavar="FILE",
                     help="JSON lines, JSON, Parquet, hf:OWNER/NAME, a task repository of SWE-bench 5, or a folder of "
                     "Terminal-Bench's tasks")  # fmt: skip
    top.add_argument(
        "--agent", required=True, metavar="NAME|FILE",
        help="gold: the data set's own patches; empty: no patch, judged all the same; qcode: this agent; or "
        "another one in the same boxes: mini-swe-agent, aider, qwen-code, qwen-code-bare, mistral-vibe, or the "
        "file of a definition",
    )  # fmt: skip
    top.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results and logs go")
    top.add_argument("--workers", type=positive, default=1, metavar="N", help="sandboxes at a time (default: 1)")
    top.add_argument("--repeat", type=positive, default=1, metavar="N", help="attempts at each instance (default: 1)")
    top.add_argument(
        "--attempts", type=positive, default=1, metavar="N",
        help="let qcode try each task N times at once and hand in the best, chosen without its tests (default: 1)",
    )  # fmt: skip
    top.add_argument(
        "--executor", choices=["local", "ray"], default="local", help="where attempts are made (default: local)"
    )
    top.add_argument(
        "--ray-address", metavar="HOST:PORT", help="of a cluster (default: one of this machine, with --workers slots)"
    )
    top.add_argument("--instance", action="append", default=[], metavar="ID", help="only this one; may be repeated")
    top.add_argument("--limit", type=positive, metavar="N", help="only the first N")
    top.add_argument("--resume", action="store_true", help="keep what an earlier run into --out finished")
    top.add_argument(
        "--stop-after", type=positive, metavar="S", help="seconds; what is not finished then is left to --resume"
    )  # fmt: skip
    top.add_argument(
        "--expect-resolved", choices=["all", "none"], metavar="all|none",
        help="leave with 1 unless every instance is resolved (for gold), or none is (for empty)",
    )  # fmt: skip
    top.add_argument(
        "--disk-floor", type=between(0), default=FLOOR_GB, metavar="GB",
        help="below it no image is built, and images of earlier tasks are removed (default: %(default)g)",
    )  # fmt: skip
    top.add_argument("--verbose", action="store_true", help="say every phase and every line of the builds")
    model = top.add_argument_group("the model")
    model.add_argument("--model", metavar="NAME", help="as for qcode run")
    model.add_argument("--base-url", metavar="URL", help="as for qcode run")
    model.add_argument(
        "--requests",
        type=positive,
        metavar="N",
        help="requests that are with it at a time (default: --workers times --attempts; of a server at most these, as "
        "many as it is found to take well)",
    )
    model.add_argument(
        "--wait-for-server", type=positive, default=int(PATIENCE_S), metavar="S",
        help="seconds that a server which went away has to come back; what it broke off is then made again, else the "
        "run stops (default: %(default)s)",
    )  # fmt: skip
    model.add_argument("--tools", choices=["swe", "small", "qwen-code", "minimal"], metavar="SET",
                       help="as for qcode run")  # fmt: skip
    model.add_argument("--no-constrain", action="store_true", help="as for qcode run")
    model.add_argument("--temperature", type=between(0, 5), metavar="T", help="instead of the model's recommended one")
    model.add_argument("--seed", type=int, metavar="N", help="make sampling repeatable")
    model.add_argument(
        "--price", type=_price, metavar="R,C,W",
        help="of a million tokens read, read from the cache, and written: adds the cost to the summary",
    )  # fmt: skip
    limits = top.add_argument_group("limits of one attempt")
    limits.add_argument(
        "--max-turns", type=positive, default=50, metavar="N", help="answers of the model (default: 50)"
    )
    limits.add_argument("--max-tokens", type=positive, metavar="N", help="tokens evaluated (not cached) and written")
    limits.add_argument("--max-seconds", type=positive, metavar="S", help="wall time")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; errors made for the user become one line on stderr and their exit code."""
    from qcode.errors import QcodeError
    from qcode.ui.sanitize import visible
    from qcode_sandbox.errors import SandboxError

    try:
        code = _carried_out(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except (QcodeError, SandboxError) as error:
        print(f"qcode-evals: {visible(' '.join(str(error).split()))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of stdout has gone: nothing more can be said, also not by the interpreter's own flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a disk that is full, a folder that went away
        where = f"{error.filename}: " if error.filename else ""
        print(f"qcode-evals: {visible(f'{where}{error.strerror or error}')}; what is finished is kept", file=sys.stderr)
        return 4


def _carried_out(argv: Sequence[str]) -> int:
    """A further command, or a run."""
    import asyncio

    from qcode.errors import ConfigError

    if argv and argv[0] in COMMANDS:
        try:
            return int(importlib.import_module(f"qcode_evals.{COMMANDS[argv[0]][0]}").main(argv[1:]))
        except KeyboardInterrupt:
            print("qcode-evals: interrupted; what is written stays", file=sys.stderr)
            return 130
    if argv and not argv[0].startswith("-"):
        raise ConfigError(_no_command(argv[0]))
    args = parser().parse_args(argv)
    from qcode_evals.score import scored

    try:
        return asyncio.run(scored(args))
    except KeyboardInterrupt:
        print(f"qcode-evals: interrupted; what is finished is in {args.out}, --resume continues", file=sys.stderr)
        return 130


def _no_command(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}."
    return f"no command {name!r}: {meant} A run begins with options: see qcode-evals --help"
