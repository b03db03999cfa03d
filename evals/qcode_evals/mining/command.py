"""`qcode-evals mine`: tasks of SWE-bench's form from a repository's own history.

A commit (or a merge) that changes code and tests becomes a task if, in containers, some of its tests fail before and
pass after it, run after run; tests that do not go the same way each time are left out of its lists. How they are run is
told by the files of each commit (go.mod, Cargo.toml, package.json, Python's tests), or by --test-command.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qcode.cli.arguments import positive
from qcode.errors import ConfigError
from qcode.ui.sanitize import visible
from qcode_evals.environments.images import Images
from qcode_evals.failures import cause
from qcode_evals.interrupts import interruptible
from qcode_evals.mining.candidates import NO_TESTS, Candidate, Setup, candidate, named
from qcode_evals.mining.checking import DUMB, WORDS, checked
from qcode_evals.mining.ecosystems import RUNNERS
from qcode_evals.mining.history import Commit, History
from qcode_evals.parsers.javascript import NAMES_FAILURES
from qcode_evals.parsers.logparse import PARSERS
from qcode_evals.tasks.dataset import Instance
from qcode_evals.tasks.rows import ids_of, new_rows
from qcode_sandbox.errors import SandboxUnavailable

_PYTHONS = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}
_PREFIX = "parse_log_"
_HINTS = {
    DUMB: "what they need is said by --package, --debian-package, --setup and --install",
    NO_TESTS: "--test-files names tests that do not look like tests",
}
"""For who got no task."""

_EXAMPLES = """\
examples:
  qcode-evals mine . --out rows.jsonl --commits 50
  qcode-evals mine . --out rows.jsonl --package hypothesis \\
    --install 'python -m pip install --no-build-isolation --no-deps -e .'
  qcode-evals mine . --out rows.jsonl --debian-package phpunit --debian-package php-cli \\
    --test-command 'phpunit --testdox --do-not-cache-result tests' --log-parser phpunit

exit codes: 0 there is a task · 1 there is none · 2 wrong usage, or what the tests need cannot be installed ·
            4 no container can be started · 130 interrupted: what is written stays, --resume goes on
"""


class Miner:
    """Turns commits into tasks, checking each by running it."""

    def __init__(self, history: History, setup: Setup, images: Images) -> None:
        self._history, self._setup, self._images = history, setup, images
        self._engine = self._begun = False
        self._told = ""

    async def task(self, commit: Commit) -> dict[str, Any] | str:
        """The finished row, or why there is none. Raises: ConfigError if what all tasks need cannot be installed,
        SandboxError if no container can be started."""
        found = await asyncio.to_thread(candidate, self._history, commit, self._setup)
        if isinstance(found, str):
            return found
        self._tell(found)
        if not self._engine:
            await self._images.ready()
            self._engine = True
        if not self._begun and not found.fetches:
            await self._require(found.row)
        return await checked(found.row, self._images, self._setup.runs)

    def _tell(self, found: Candidate) -> None:
        """Say how tests are run, when it is something else than before."""
        by = f" ({found.ecosystem.told_by})" if found.ecosystem.told_by and not self._setup.runner else ""
        command = " ".join(found.ecosystem.command.replace("{options}", self._setup.options).split())
        base = found.row["environment"]["base"].split("-")[1]
        kind = f" of {found.ecosystem.name}{by}" if found.ecosystem.name else ""
        said = f"tests{kind} on Debian {base}: {command}"
        if said != self._told:
            self._told = said
            print(visible(said), file=sys.stderr, flush=True)

    async def _require(self, row: dict[str, Any]) -> None:
        try:
            await self._images.requirements(Instance.model_validate(row))
        except ValidationError:
            return
        except SandboxUnavailable as error:
            raise ConfigError(
                "what the tests need cannot be installed (--package, --debian-package, --setup): "
                f"{cause(str(error))[-WORDS:]}"
            ) from None
        self._begun = True


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="qcode-evals mine", description=(__doc__ or "").split("\n\n")[1], epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("repo", type=Path, metavar="REPO", help="a git repository")
    top.add_argument("--out", type=Path, required=True, metavar="FILE", help="rows, one JSON object a line")
    top.add_argument("--commits", type=positive, default=200, metavar="N", help="look at the last N (default: 200)")
    top.add_argument("--limit", type=positive, metavar="N", help="stop after N tasks")
    top.add_argument("--resume", action="store_true", help="keep what is in --out, and go on where it ends")
    top.add_argument("--runs", type=positive, default=3, metavar="N", help="runs before and after each (default: 3)")
    top.add_argument("--timeout", type=positive, default=600, metavar="S", help="of one run (default: 600)")
    tests = top.add_argument_group("how the tests are run (default: as the files of each commit tell)")
    tests.add_argument("--runner", choices=list(RUNNERS), help="rather than what is found")
    tests.add_argument(
        "--test-command", metavar="CMD",
        help="run in the tree, by bash; {files} in it are the test files that a commit changes",
    )  # fmt: skip
    tests.add_argument(
        "--log-parser", metavar="NAME",
        help="what reads the log of --test-command, such as gotest, cargo, jest, tap, jq (PASS: NAME), phpunit",
    )  # fmt: skip
    tests.add_argument(
        "--test-files", action="append", default=[], metavar="GLOB",
        help="further files that are tests, such as 'checks/*.c'; a * matches slashes too",
    )  # fmt: skip
    tests.add_argument("--pytest-options", default="", metavar="TEXT", help="for every run of pytest")
    needs = top.add_argument_group("what the tests need")
    release = needs.add_mutually_exclusive_group()
    release.add_argument("--python", choices=list(_PYTHONS), help="in the containers (default: 3.11)")
    release.add_argument(
        "--debian", choices=list(_PYTHONS.values()),
        help="the release that tools come from (default: trixie; for Python's tests bookworm)",
    )  # fmt: skip
    needs.add_argument("--package", action="append", default=[], metavar="NAME", help="from Python's package index")
    needs.add_argument("--debian-package", action="append", default=[], metavar="NAME", help="from Debian")
    needs.add_argument(
        "--setup", action="append", default=[], metavar="CMD",
        help="run as root with the network, before the tree is there",
    )  # fmt: skip
    needs.add_argument(
        "--install", action="append", default=[], metavar="CMD",
        help="run in the tree without network, such as 'python -m pip install --no-build-isolation --no-deps -e .'",
    )  # fmt: skip
    return top


def _setup(args: argparse.Namespace) -> Setup:
    """Raises: ConfigError."""
    log_parser = args.log_parser or ""
    if log_parser and log_parser not in PARSERS:
        log_parser = _PREFIX + log_parser
    if log_parser and log_parser not in PARSERS:
        known = ", ".join(sorted(name.removeprefix(_PREFIX) for name in PARSERS - NAMES_FAILURES))
        raise ConfigError(f"no log parser {args.log_parser!r}: there are {known}")
    if log_parser in NAMES_FAILURES:
        raise ConfigError(f"--log-parser {args.log_parser} names only tests that fail: a task needs those that pass")
    if log_parser and args.test_command is None:
        raise ConfigError("--log-parser reads the log of --test-command: give both")
    if args.test_command is not None and (not args.test_command.strip() or ">>>>>" in args.test_command):
        raise ConfigError("--test-command is empty, or holds the >>>>> that marks a test log")
    name = "".join(letter if letter.isalnum() else "-" for letter in args.repo.resolve().name).strip("-") or "repo"
    return Setup(
        name,
        release=_PYTHONS[args.python] if args.python else args.debian or "",
        runner=args.runner or "",
        command=args.test_command or "",
        parser=log_parser,
        tests=tuple(args.test_files),
        packages=tuple(args.package),
        debian=tuple(args.debian_package),
        steps=tuple(args.setup),
        install=tuple(args.install),
        options=args.pytest_options,
        runs=args.runs,
        timeout_s=float(args.timeout),
    )


async def _mine(args: argparse.Namespace) -> int:
    from qcode_sandbox.pip_settings import pip_settings

    setup = _setup(args)
    history = History(args.repo)
    commits = list(history.commits(args.commits))
    miner = Miner(history, setup, Images(await pip_settings()))
    dropped: Counter[str] = Counter()
    known = ids_of(args.out) if args.resume else []
    found = len(known)
    with new_rows(args.out, resume=args.resume) as add:
        for commit in _left(commits, known, setup.name):
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
            subject = _shortened((commit.message.splitlines() or [""])[0])
            print(visible(f"{commit.hash[:12]} {subject}: {' '.join(said.split())}"), file=sys.stderr, flush=True)
    if not commits:
        print("the history has no commit that has one before it: a clone that is not shallow has them", file=sys.stderr)
    for reason, options in _HINTS.items():
        if dropped[reason] and not found:
            print(f"{dropped[reason]} {reason}: {options}", file=sys.stderr)
    print(visible(f"{found} tasks in {args.out}" + "".join(f"; {count} {why}" for why, count in dropped.most_common())))
    return 0 if found else 1


def _shortened(text: str, most: int = 60) -> str:
    """A line's beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _left(commits: Sequence[Commit], known: Sequence[str], name: str) -> list[Commit]:
    """What is to be looked at: not those between the first and the last task that are there already."""
    places = [place for place, commit in enumerate(commits) if named(name, commit) in known]
    return [*commits[: places[0]], *commits[places[-1] + 1 :]] if places else list(commits)


def main(argv: Sequence[str]) -> int:
    """Mine. Raises: ConfigError, SandboxError."""
    return interruptible(_mine(parser().parse_args(argv)))
