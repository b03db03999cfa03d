"""Alias of the command `qcode-evals`: `python evals/swebench.py --dataset FILE --agent gold --out DIR`."""

import sys

# Unless -P keeps it away, this folder comes first on the path: there, this file would hide the package `swebench`.
if not sys.flags.safe_path:
    del sys.path[0]

from qcode_evals.cli import main

if __name__ == "__main__":
    sys.exit(main())
