import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calls import Qcode, git


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a bug and an issue."""
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    (folder / "issue.md").write_text("add() in calc.py subtracts\n", encoding="utf-8")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "x")
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Writes a scripted model and gives its name for --model. An answer is its text, or a whole line as a dict."""

    def write(*answers: str | dict[str, Any]) -> str:
        path = tmp_path / "script.jsonl"
        lines = [json.dumps({"text": a} if isinstance(a, str) else a) for a in answers]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return f"scripted:{path}"

    return write


@pytest.fixture
def qcode(tmp_path: Path) -> Qcode:
    """Runs the command line in a process of its own, in a folder that is no repository."""

    def run(*arguments: object, stdin: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "qcode", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **extra},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
