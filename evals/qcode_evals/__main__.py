"""`python -m qcode_evals`."""

import sys

from qcode_evals.cli import main

if __name__ == "__main__":
    sys.exit(main())
