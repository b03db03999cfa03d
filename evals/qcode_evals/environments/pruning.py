"""`qcode-evals prune`: remove images of tasks that are not in use; they are made again when they are needed."""

import argparse
import asyncio
import time
from collections.abc import Sequence

from qcode.cli.arguments import between
from qcode_evals.environments.room import Room

_DAY_S = 86_400.0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="qcode-evals prune", description=(__doc__ or "").partition(": ")[2])
    top.add_argument(
        "--unused-days", type=between(0), default=0.0, metavar="N", help="only those not needed for N days (default: 0)"
    )
    return top


def main(argv: Sequence[str]) -> int:
    """Prune. Raises: SandboxError."""
    args = parser().parse_args(argv)
    removed = asyncio.run(Room().prune(unused_s=args.unused_days * _DAY_S, now=time.time()))
    for image in removed:
        print(image.tag)
    print(f"{len(removed)} images removed; images that are in use, or stand below others, stay")
    return 0
