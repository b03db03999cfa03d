"""Task repositories of SWE-bench 5: sweb.yaml, and tasks/ID/ with task.yaml, tests.json, problem_statement.md,
gold.patch, test.patch, eval.sh and Dockerfile.

Format: docs/reference/cli.md of SWE-bench 5.0. A task's image is the one that task.yaml names where a registry gives
it, else what its Dockerfile makes, with the task's folder to copy from. Tasks of splits that sweb.yaml does not publish
("deprecated") are left out unless that split is asked for.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qcode.errors import ConfigError

CONFIG = "sweb.yaml"
_TEXTS = {
    "patch": "gold.patch", "test_patch": "test.patch", "eval_script": "eval.sh",
    "problem_statement": "problem_statement.md",
}  # fmt: skip


def is_repository(root: Path) -> bool:
    """Whether a folder is a task repository."""
    return (root / CONFIG).is_file()


def repository(root: Path, split: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and row of each task in a split; without one, in those that are published. Raises: ConfigError."""
    config = _yaml(root / CONFIG)
    published = config.get("splits", ["test"])
    splits = {split} if split else set(map(str, published if isinstance(published, list) else [published]))
    folders = sorted(path.parent for path in root.glob("tasks/*/task.yaml"))
    if not folders:
        raise ConfigError(f"{root} has no tasks/*/task.yaml")
    tasks = [(folder, _yaml(folder / "task.yaml")) for folder in folders]
    chosen = [(folder, task) for folder, task in tasks if str(task.get("split", "test")) in splits]
    if not chosen:
        known = sorted({str(task.get("split", "test")) for _, task in tasks})
        raise ConfigError(f"{root} has no task in {', '.join(sorted(splits))}; its splits are {', '.join(known)}")
    for folder, task in chosen:
        yield f"tasks/{folder.name}", _row(folder, task)


def _row(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    tests = _json(folder / "tests.json") if (folder / "tests.json").is_file() else {}
    image = str(task.get("image") or "")
    source = {"image": image}
    if (folder / "Dockerfile").is_file():
        source |= {"context": str(folder.absolute()), "digest": _digest(folder)}
        source["image"] = image or f"qcode-task/{folder.name.lower()}"
    return {
        **task, **{name: _text(folder / file) for name, file in _TEXTS.items()}, **tests,
        "instance_id": str(task.get("instance_id") or folder.name), "environment": {"source": source},
    }  # fmt: skip


def _digest(folder: Path) -> str:
    """Of what a Dockerfile can copy: all files of the task."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode() + data)
    return found.hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # a patch keeps its line endings
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    return _object(path, value)


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return _object(path, value)


def _object(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds no object")
    return value
