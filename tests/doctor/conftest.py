import os
import subprocess
import sys
from pathlib import Path

import pytest
from calls import Qcode


@pytest.fixture
def qcode(tmp_path: Path) -> Qcode:
    """Runs the command line in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "qcode", *map(str, arguments)],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
