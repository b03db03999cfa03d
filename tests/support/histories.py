"""Small git histories that a test makes."""

import subprocess
from pathlib import Path


def git(repo: Path, *arguments: str) -> str:
    """What it prints."""
    named = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", repo, *named, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(repo: Path, message: str, files: dict[str, str]) -> None:
    """Of these files, with what else was changed."""
    for name, text in files.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text, encoding="utf-8")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", message)
