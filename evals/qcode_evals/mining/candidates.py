"""From a commit to a row without its lists of tests: what is its fix, what are its tests, how they are run."""

import base64
import shlex
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from qcode_evals.mining.ecosystems import OTHER, RUNNERS, Ecosystem, Unknown, detect
from qcode_evals.mining.history import Commit, History, Tree
from qcode_evals.parsers.logparse import PYTHON_PARSERS
from qcode_evals.patches import protected

BASES = {"bullseye": "debian-bullseye-py3.9", "bookworm": "debian-bookworm-py3.11", "trixie": "debian-trixie-py3.13"}
"""By Debian's names of its releases, the newest last."""

NO_TESTS = "changes no tests"
_SETTINGS = "conftest.py"
_HERE = "EOF_114329324912"
_MANIFESTS = "/opt/manifests"
_CHUNK = 90_000
"""Characters of one command: the kernel takes 131,072 in an argument."""
_UNPACK = "import base64,sys,zlib; sys.stdout.buffer.write(zlib.decompress(base64.b64decode(sys.stdin.read())))"
_LARGEST = 20_000_000
"""Bytes of a tree that a row may hold."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How the repository's tests are run; what is empty is found out for each commit.

    `packages` are installed by pip, `debian` by apt, `steps` run before the tree is there, all with the network;
    `install` runs in the tree, without. `{files}` in `command` are the commit's test files.
    """

    name: str
    release: str = ""
    runner: str = ""
    command: str = ""
    parser: str = ""
    tests: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    options: str = ""
    runs: int = 3
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that is to be checked, and what it was taken for."""

    row: dict[str, Any]
    ecosystem: Ecosystem
    fetches: bool = False
    """Whether what it needs is its own rather than all commits'."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Paths that a commit changes: those of its tests, the tests among them that can be run, and those of its fix."""

    tests: list[str]
    runnable: list[str]
    code: list[str]


def candidate(history: History, commit: Commit, setup: Setup) -> Candidate | str:
    """The row of a commit without its lists of tests, or why it cannot be a task."""
    changed = history.changed(commit)
    tests = [path for path in changed if _of_tests(path, setup)]
    if not tests:
        return NO_TESTS
    if len(tests) == len(changed):
        return "changes only tests"
    after = history.paths(commit.hash)
    tests_after = [path for path in tests if path in after]
    if not tests_after:
        return "only removes tests"
    chosen = _chosen(history, commit, setup, tests_after, [path for path in changed if path not in tests])
    if isinstance(chosen, str):
        return chosen
    ecosystem, parts = chosen
    manifests = _manifests(ecosystem, history, commit, after)
    if any(name in changed for name in list(manifests)[-1:]):
        return "changes what the project depends on"
    tree = history.tree(commit.parent, most=_LARGEST)
    if isinstance(tree, str):
        return tree
    test_patch = history.difference(commit, tests)
    row = {
        "repo": f"local/{setup.name}",
        "instance_id": named(setup.name, commit),
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
        "log_parser": ecosystem.parser,
        "eval_type": "pass_and_fail",
        "eval_script": _script(ecosystem, setup, parts.runnable, tests, test_patch),
        "environment": {
            "base": BASES[setup.release or _release(ecosystem)],
            "source": _source(tree),
            "env_install": _requirements(ecosystem, setup, manifests),
            "install": list(setup.install),
            "test_files": parts.runnable,
            "timeout_s": setup.timeout_s,
        },
    }
    return Candidate(row, ecosystem, fetches=bool(manifests))


def named(name: str, commit: Commit) -> str:
    """The instance of a commit."""
    return f"local__{name}-{commit.hash[:12]}"


def _chosen(
    history: History, commit: Commit, setup: Setup, tests: list[str], others: list[str]
) -> tuple[Ecosystem, _Parts] | str:
    """The kind of project that most of a commit's test files are of, or why there is none."""
    paths = history.paths(commit.hash)

    def read(path: str) -> str:
        return history.text(commit.hash, path) if path in paths else ""

    said: list[Ecosystem | Unknown] = [RUNNERS[setup.runner]] if setup.runner else detect(paths, tests, read)
    if setup.command:
        known = next((each for each in said if isinstance(each, Ecosystem)), OTHER)
        known = replace(known, command=setup.command, parser=setup.parser or known.parser, code=())
        said = [known] if known.parser else [Unknown("nothing tells how its test log is read (--log-parser)")]
    if not said:
        return "nothing at its root tells how its tests are run (--test-command)"
    possible: list[tuple[Ecosystem, _Parts]] = []
    known_ones = [each for each in said if isinstance(each, Ecosystem)]
    for ecosystem in known_ones:
        runnable = [path for path in tests if ecosystem.is_test(path, said=_is_said(path, setup))]
        code = [path for path in others if ecosystem.is_code(path) and protected(path, tests=()) is None]
        if runnable and code:
            possible.append((ecosystem, _Parts(tests, runnable, code)))
    if possible:
        return max(possible, key=lambda each: len(each[1].runnable))
    if unknown := next((each for each in said if isinstance(each, Unknown)), None):
        return unknown.why
    kinds = " or ".join(each.name for each in known_ones if each.name)
    return "does not change both code and tests" + (f" of {kinds}" if kinds else "")


def _of_tests(path: str, setup: Setup) -> bool:
    """Whether a commit's change of a file is of its tests rather than of its fix; what no patch may bring is too."""
    named = path.rpartition("/")[2]
    return _is_said(path, setup) or protected(path, tests=()) == "tests" or named == _SETTINGS


def _is_said(path: str, setup: Setup) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in setup.tests)


def _release(ecosystem: Ecosystem) -> str:
    return "bookworm" if ecosystem.parser in PYTHON_PARSERS else "trixie"


def _has_venv(ecosystem: Ecosystem, setup: Setup) -> bool:
    return bool(setup.packages) or ecosystem.parser in PYTHON_PARSERS


def _requirements(ecosystem: Ecosystem, setup: Setup, manifests: dict[str, str]) -> list[str]:
    """Commands that make the layer below the tree, which all commits with the same requirements share."""
    lines = []
    if debian := (*ecosystem.tools, *setup.debian):
        wanted = " ".join(map(shlex.quote, debian))
        lines.append(f"apt-get update -q && apt-get install -y -q --no-install-recommends {wanted}")
    if _has_venv(ecosystem, setup):
        lines.append("python3 -m venv /opt/venv")
        if pip := (*ecosystem.pip, *setup.packages):
            lines.append(f"/opt/venv/bin/python -m pip install {' '.join(map(shlex.quote, pip))}")
    lines += setup.steps
    for name, text in manifests.items():
        packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")
        target = f"{_MANIFESTS}/{name}"
        lines.append(f"mkdir -p {_MANIFESTS}")
        lines += [f"printf %s {packed[at : at + _CHUNK]} >>{target}.packed" for at in range(0, len(packed), _CHUNK)]
        lines.append(f"python3 -c {shlex.quote(_UNPACK)} <{target}.packed >{target} && rm {target}.packed")
    return [*lines, f"cd {_MANIFESTS} && {ecosystem.fetch} && rm -rf {_MANIFESTS}"] if manifests else lines


def _manifests(ecosystem: Ecosystem, history: History, commit: Commit, paths: frozenset[str]) -> dict[str, str]:
    """The files by which a project's dependencies are got, with their text; none where nothing has to be got."""
    # What is in the tree is not got again; and without a lock nothing says what there was.
    if not set(ecosystem.manifests) <= paths or any(path.startswith(("vendor/", "node_modules/")) for path in paths):
        return {}
    texts = {name: history.text(commit.hash, name) for name in ecosystem.manifests}
    return texts if texts and ecosystem.locked in texts[ecosystem.manifests[-1]] else {}


def _script(
    ecosystem: Ecosystem, setup: Setup, runnable: Sequence[str], changed: Sequence[str], test_patch: str
) -> str:
    names = " ".join(map(shlex.quote, runnable))
    restored = " ".join(map(shlex.quote, changed))
    command = ecosystem.command.replace("{options} ", f"{setup.options} " if setup.options else "")
    return "\n".join(
        [
            "#!/bin/bash", "set -uxo pipefail",
            *(["source /opt/venv/bin/activate"] if _has_venv(ecosystem, setup) else []), "cd /testbed",
            f'for file in {restored}; do git checkout HEAD -- "$file" 2>/dev/null || rm -f "$file"; done',
            f"git apply -v - <<'{_HERE}'", test_patch.rstrip("\n"), _HERE,
            *ecosystem.prepare,
            ": '>>>>> Start Test Output'",
            command.replace("{files}", names),
            ": '>>>>> End Test Output'", "",
        ]
    )  # fmt: skip


def _source(tree: Tree) -> dict[str, Any]:
    blobs = {path: one.model_dump(mode="json") for path, one in tree.blobs.items()}
    return {"files": tree.files, **({"blobs": blobs} if blobs else {}), "tree": tree.hash}
