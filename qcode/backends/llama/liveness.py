"""Whether the process that left something behind is still there."""

import os


def is_alive(pid: int) -> bool:
    """True also where it belongs to somebody else."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
