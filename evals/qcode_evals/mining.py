"""`qcode-evals mine`: tasks of SWE-bench's form from a repository's own history.

A commit that changes code and tests becomes a task if, in containers, some of its tests fail before and pass after it,
run after run; tests that do not go the same way each time are left out of its lists.
"""

import argparse
import asyncio
import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qcode.errors import ConfigError
from qcode.ui.sanitize import visible
from qcode_evals.arguments import interruptible, positive
from qcode_evals.boxes import open_box
from qcode_evals.dataset import Instance
from qcode_evals.environment import Images
from qcode_evals.failures import cause
from qcode_evals.grading import grade
from qcode_evals.history import Commit, History, Tree
from qcode_evals.judging import Grade
from qcode_evals.parsers.status import Status
from qcode_evals.patches import protected
from qcode_evals.rows import ids_of, new_rows
from qcode_sandbox.errors import SandboxError, SandboxUnavailable
from qcode_sandbox.protocol import Sandbox

_BASES = {"3.9": "debian-bullseye-py3.9", "3.11": "debian-bookworm-py3.11", "3.13": "debian-trixie-py3.13"}
_SETTINGS = "conftest.py"
_WORDS = 200
_LARGEST = 20_000_000
"""Bytes of a tree that a row may hold."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How the repository's tests are run. `packages` are installed beside pytest, `install` runs without network."""

    name: str
    python: str = "3.11"
    packages: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    options: str = ""
    runs: int = 3
    timeout_s: float = 600.0


def _script(setup: Setup, commit_tests: Sequence[str], changed: Sequence[str], test_patch: str) -> str:
    names = " ".join(map(shlex.quote, commit_tests))
    restored = " ".join(map(shlex.quote, changed))
    return "\n".join(
        [
            "#!/bin/bash", "set -uxo pipefail", "source /opt/venv/bin/activate", "cd /testbed",
            f'for file in {restored}; do git checkout HEAD -- "$file" 2>/dev/null || rm -f "$file"; done',
            "git apply -v - <<'EOF_114329324912'", test_patch.rstrip("\n"), "EOF_114329324912",
            ": '>>>>> Start Test Output'",
            f"python -m pytest -rA -p no:cacheprovider {setup.options} {names}".replace("  ", " "),
            ": '>>>>> End Test Output'", "",
        ]
    )  # fmt: skip


def candidate(history: History, commit: Commit, setup: Setup) -> dict[str, Any] | str:
    """The row of a commit without its lists of tests, or why it cannot be a task."""
    changed = history.changed(commit)
    tests = [path for path in changed if _of_tests(path)]
    code = [path for path in changed if path.endswith(".py") and protected(path, tests=()) is None]
    runnable = [path for path in tests if _is_run(path.rpartition("/")[2])]
    if not code or not runnable:
        return "does not change both code and tests"
    after = history.paths(commit.hash)
    runnable = [path for path in runnable if path in after]
    if not runnable:
        return "only removes tests"
    tree = history.tree(commit.parent, most=_LARGEST)
    if isinstance(tree, str):
        return tree
    test_patch = history.difference(commit, tests)
    pip = "/opt/venv/bin/python -m pip install"
    wanted = " ".join(map(shlex.quote, ("pytest", "setuptools", "wheel", *setup.packages)))
    return {
        "repo": f"local/{setup.name}",
        "instance_id": _named(setup.name, commit),
        "base_commit": commit.parent,
        "patch": history.difference(commit, [path for path in changed if path not in tests]),
        "test_patch": test_patch,
        "problem_statement": commit.message or commit.hash,
        "hints_text": "",
        "created_at": commit.date,
        "version": "",
        "FAIL_TO_PASS": "[]",
        "PASS_TO_PASS": "[]",
        "environment_setup_commit": commit.parent,
        "log_parser": "parse_log_pytest_v2",
        "eval_type": "pass_and_fail",
        "eval_script": _script(setup, runnable, tests, test_patch),
        "environment": {
            "base": _BASES[setup.python],
            "source": _source(tree),
            "env_install": ["python3 -m venv /opt/venv", f"{pip} {wanted}"],
            "install": list(setup.install),
            "test_files": runnable,
            "timeout_s": setup.timeout_s,
        },
    }


def _of_tests(path: str) -> bool:
    """Whether a commit's change of a file is of its tests rather than of its fix; what no patch may bring is too."""
    return protected(path, tests=()) == "tests" or path.rpartition("/")[2] == _SETTINGS


def _is_run(name: str) -> bool:
    return name.endswith(".py") and "test" in name and name != _SETTINGS


def _source(tree: Tree) -> dict[str, Any]:
    blobs = {path: one.model_dump(mode="json") for path, one in tree.blobs.items()}
    return {"files": tree.files, **({"blobs": blobs} if blobs else {}), "tree": tree.hash}


def lists(before: Sequence[dict[str, Status]], after: Sequence[dict[str, Status]]) -> tuple[list[str], list[str]]:
    """FAIL_TO_PASS and PASS_TO_PASS of what several runs said; a test that did not go the same way each time is in
    neither."""
    to_pass, kept = [], []
    for name in sorted(set().union(*after)):
        if not all((status := run.get(name)) is not None and status.passes for run in after):
            continue
        passed = [(status := run.get(name)) is not None and status.passes for run in before]
        if not any(passed):
            to_pass.append(name)
        elif all(passed):
            kept.append(name)
    return to_pass, kept


class Miner:
    """Turns commits into tasks, checking each by running it."""

    def __init__(self, history: History, setup: Setup, images: Images) -> None:
        self._history, self._setup, self._images = history, setup, images
        self._begun = False

    async def task(self, commit: Commit) -> dict[str, Any] | str:
        """The finished row, or why there is none. Raises: ConfigError if what all tasks need cannot be installed."""
        row = await asyncio.to_thread(candidate, self._history, commit, self._setup)
        if isinstance(row, str):
            return row
        if not self._begun:
            await self._require(row)
        return await checked(row, self._images, self._setup.runs)

    async def _require(self, row: dict[str, Any]) -> None:
        try:
            await self._images.requirements(Instance.model_validate(row))
        except ValidationError:
            return
        except SandboxUnavailable as error:
            raise ConfigError(
                f"what the tests need cannot be installed (--package): {cause(str(error))[-_WORDS:]}"
            ) from None
        self._begun = True


async def checked(row: dict[str, Any], images: Images, runs: int) -> dict[str, Any] | str:
    """A row with the lists of its tests, or why it is no task; they are run so often without its patch and with."""
    try:
        instance = Instance.model_validate(row)
    except ValidationError as error:
        return f"cannot be a row: {error.errors()[0]['msg']}"
    try:
        image = await images.ensure(instance)
        try:
            before = [await _run(instance, image, "") for _ in range(runs)]
            after = [await _run(instance, image, instance.patch) for _ in range(runs)]
        finally:
            images.release(instance)
    except SandboxError as error:
        return f"its environment does not work: {cause(str(error))[-_WORDS:]}"
    if not all(grade.reported for grade in after):
        return f"its tests do not run: {after[0].reason}"
    to_pass, kept = lists([grade.statuses for grade in before], [grade.statuses for grade in after])
    if not to_pass:
        return "no test fails before it and passes after it"
    return row | {"FAIL_TO_PASS": json.dumps(to_pass), "PASS_TO_PASS": json.dumps(kept)}


async def _run(instance: Instance, image: str, patch: str) -> Grade:
    box: AbstractAsyncContextManager[Sandbox] = open_box(instance, image)
    async with box as sandbox:
        return await grade(instance, patch, sandbox)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="qcode-evals mine", description=(__doc__ or "").split("\n\n")[1])
    top.add_argument("repo", type=Path, metavar="REPO", help="a git repository")
    top.add_argument("--out", type=Path, required=True, metavar="FILE", help="rows, one JSON object a line")
    top.add_argument(
        "--commits", type=positive, default=200, metavar="N", help="look at the last N (default: 200)"
    )  # fmt: skip
    top.add_argument("--limit", type=positive, metavar="N", help="stop after N tasks")
    top.add_argument("--resume", action="store_true", help="keep what is in --out, and go on where it ends")
    top.add_argument("--runs", type=positive, default=3, metavar="N", help="runs before and after each (default: 3)")
    top.add_argument("--python", choices=list(_BASES), default="3.11", help="in the containers (default: 3.11)")
    top.add_argument("--package", action="append", default=[], metavar="NAME", help="to install beside pytest")
    top.add_argument(
        "--install", action="append", default=[], metavar="CMD",
        help="run in the tree without network, such as 'python -m pip install --no-build-isolation --no-deps -e .'",
    )  # fmt: skip
    top.add_argument("--pytest-options", default="", metavar="TEXT", help="for every run of the tests")
    return top


async def _mine(args: argparse.Namespace) -> int:
    from qcode_sandbox.pip_settings import pip_settings

    name = "".join(letter if letter.isalnum() else "-" for letter in args.repo.resolve().name).strip("-") or "repo"
    setup = Setup(name, args.python, tuple(args.package), tuple(args.install), args.pytest_options, args.runs)
    history = History(args.repo)
    commits = list(history.commits(args.commits))
    miner = Miner(history, setup, Images(await pip_settings()))
    dropped: Counter[str] = Counter()
    known = ids_of(args.out) if args.resume else []
    found = len(known)
    with new_rows(args.out, resume=args.resume) as add:
        for commit in _left(commits, known, name):
            if args.limit is not None and found >= args.limit:
                break
            row = await miner.task(commit)
            if isinstance(row, str):
                dropped[row.partition(":")[0]] += 1
                said = row
            else:
                found += 1
                add(row)
                said = f"a task with {len(json.loads(row['FAIL_TO_PASS']))} tests to pass"
            subject = (commit.message.splitlines() or [""])[0][:60]
            print(visible(f"{commit.hash[:12]} {subject}: {' '.join(said.split())}"), file=sys.stderr, flush=True)
    print(visible(f"{found} tasks in {args.out}" + "".join(f"; {count} {why}" for why, count in dropped.most_common())))
    return 0 if found else 1


def _left(commits: Sequence[Commit], known: Sequence[str], name: str) -> list[Commit]:
    """What is to be looked at: not those between the first and the last task that are there already."""
    places = [place for place, commit in enumerate(commits) if _named(name, commit) in known]
    return [*commits[: places[0]], *commits[places[-1] + 1 :]] if places else list(commits)


def _named(name: str, commit: Commit) -> str:
    return f"local__{name}-{commit.hash[:12]}"


def main(argv: Sequence[str]) -> int:
    """Mine. Raises: ConfigError, SandboxError."""
    return interruptible(_mine(parser().parse_args(argv)))
