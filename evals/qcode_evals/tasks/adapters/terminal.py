"""Terminal-Bench-2-style tasks: a folder with task.toml, instruction.md, environment/Dockerfile, tests/test.sh.

The agent works in a container of the image that task.toml names (environment.docker_image) where a registry gives it,
else of the Dockerfile; then tests/ is put at /tests, and test.sh run in the same container writes 1 or 0 to
/logs/verifier/reward.txt (or {"reward": 1} to reward.json). solution/solve.sh is the right answer.
Format: the task structure of harborframework.com. Unlike there, everything runs without network, and as user 1000.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qcode.errors import ConfigError

_WORKDIR = re.compile(r"^[ \t]*WORKDIR[ \t]+(/[A-Za-z0-9._/-]+)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_FROM = re.compile(r"^[ \t]*FROM\s", re.MULTILINE | re.IGNORECASE)


def is_tasks(root: Path) -> bool:
    """Whether a folder is a task, or holds some."""
    return (root / "task.toml").is_file() or any(root.glob("*/task.toml"))


def tasks(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and row of each. Raises: ConfigError."""
    folders = [root] if (root / "task.toml").is_file() else sorted(path.parent for path in root.glob("*/task.toml"))
    for folder in folders:
        yield folder.name, _row(folder.absolute())


def _row(folder: Path) -> dict[str, Any]:
    try:
        config = tomllib.loads((folder / "task.toml").read_text(encoding="utf-8"))
        instruction = (folder / "instruction.md").read_text(encoding="utf-8")
        dockerfile = (folder / "environment" / "Dockerfile").read_text(encoding="utf-8")
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{folder} is no task of Terminal-Bench's form: {error}") from None
    if not (folder / "tests" / "test.sh").is_file() or not _FROM.search(dockerfile):
        raise ConfigError(
            f"{folder} is no task of Terminal-Bench's form: tests/test.sh or the Dockerfile's FROM is missing"
        )
    places = _WORKDIR.findall(dockerfile)
    verifier, environment = (_table(folder, config, name) for name in ("verifier", "environment"))
    seconds = verifier.get("timeout_sec", 600.0)
    if not isinstance(seconds, int | float):
        raise ConfigError(f"{folder / 'task.toml'}: verifier.timeout_sec: {seconds!r} is no number")
    solution = folder / "solution"
    return {
        "instance_id": folder.name,
        "repo": f"terminal/{folder.name}",
        "problem_statement": instruction,
        "patch": "", "test_patch": "", "FAIL_TO_PASS": [], "PASS_TO_PASS": [],
        "log_parser": "parse_log_pytest_v2",
        "eval_script": ": '>>>>> Start Test Output'\nbash /tests/test.sh\n: '>>>>> End Test Output'\n",
        "environment": {
            "workdir": places[-1] if places else "/app",
            "source": {
                "context": str(folder / "environment"),
                "digest": _digest(folder / "environment"),
                "image": str(environment.get("docker_image", "")),
            },
            "verifier": {
                "tests": str(folder / "tests"),
                "digest": _digest(folder / "tests"),
                "solution": str(solution) if (solution / "solve.sh").is_file() else "",
            },
            "timeout_s": float(seconds),
        },
    }  # fmt: skip


def _table(folder: Path, config: dict[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{folder / 'task.toml'}: {name} is no table")
    return value


def _digest(folder: Path) -> str:
    """Of all files below, with names and modes."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o111}\0{len(data)}\0".encode() + data)
    return found.hexdigest()
