"""`qcode-evals adapt`: tasks from the checkout of a benchmark.

Each becomes a row if, in containers, some of its tests fail with the code as it is and pass with the right one, run
after run; the row's lists are of the tests that go the same way each time.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from qcode.cli.arguments import positive
from qcode.ui.sanitize import visible
from qcode_evals.environments.images import Images
from qcode_evals.interrupts import interruptible
from qcode_evals.mining.checking import checked
from qcode_evals.mining.checkouts import polyglot, quixbugs
from qcode_evals.tasks.rows import ids_of, new_rows
from qcode_sandbox.pip_settings import pip_settings

KINDS = {"quixbugs": quixbugs, "polyglot": polyglot}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="qcode-evals adapt", description=(__doc__ or "").split("\n\n")[1])
    top.add_argument("kind", choices=list(KINDS), help="quixbugs, or polyglot: Aider's benchmark, its Python part")
    top.add_argument("folder", type=Path, metavar="DIR", help="the checkout")
    top.add_argument("--out", type=Path, required=True, metavar="FILE", help="rows, one JSON object a line")
    top.add_argument("--runs", type=positive, default=2, metavar="N", help="runs before and after each (default: 2)")
    top.add_argument("--resume", action="store_true", help="keep what is in --out, and make the others")
    top.add_argument("--only", action="append", default=[], metavar="NAME", help="only this task; may be repeated")
    return top


async def _adapt(args: argparse.Namespace) -> int:
    images = Images(await pip_settings())
    rows = [
        row for row in KINDS[args.kind](args.folder)
        if not args.only or row["instance_id"].partition("__")[2] in args.only
    ]  # fmt: skip
    known = ids_of(args.out) if args.resume else []
    found = len(known)
    with new_rows(args.out, resume=args.resume) as add:
        for row in (row for row in rows if row["instance_id"] not in known):
            done = await checked(row, images, args.runs)
            if not isinstance(done, str):
                found += 1
                add(done)
            said = done if isinstance(done, str) else f"{len(json.loads(done['FAIL_TO_PASS']))} tests to pass"
            print(visible(f"{row['instance_id']}: {' '.join(said.split())}"), file=sys.stderr, flush=True)
    print(visible(f"{found} of {len(rows)} tasks in {args.out}"))
    return 0 if found else 1


def main(argv: Sequence[str]) -> int:
    """Adapt. Raises: ConfigError, SandboxError."""
    return interruptible(_adapt(parser().parse_args(argv)))
