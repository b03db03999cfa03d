"""Histories of several kinds of project become tasks that their own patches resolve and no empty one does."""

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from histories import commit
from mined import Files, history_of, mined_and_judged

from qcode_evals.grading.canary import Canary
from qcode_evals.mining.candidates import Candidate, Setup, candidate
from qcode_evals.mining.history import History
from qcode_evals.tasks.dataset import Instance

GO_TEST = (
    'package calc\n\nimport "testing"\n\nfunc TestNAME(t *testing.T) {\n\tif Add(CALL {\n\t\tt.Fatal("wrong")\n\t}\n}\n'
)
NODE_TEST = """\
const { test } = require('node:test');
const assert = require('node:assert');
const { add } = require('../calc.js');

test('adds nothing', () => assert.strictEqual(add(0, 0), 0));
"""
UNIT_TEST = """\
import unittest
from pkg import add


class AddTest(unittest.TestCase):
    def test_zero(self):
        self.assertEqual(add(0, 0), 0)
"""
RUST_TEST = "use calc::add;\n\n#[test]\nfn adds_nothing() {\n    assert_eq!(add(0, 0), 0);\n}\n"
CHECK = """\
#include <stdio.h>
int add(int, int);
static int is(const char *name, int good) { return printf("%s: %s\\n", good ? "PASS" : "FAIL", name) && !good; }
int main(void) { return is("adds nothing", add(0, 0) == 0)MORE; }
"""


def go_test(name: str, call: str) -> str:
    return GO_TEST.replace("NAME", name).replace("CALL", call)


PROJECTS: dict[str, tuple[Files, Files]] = {
    "go": (
        {
            "go.mod": "module own/calc\n\ngo 1.19\n",
            "calc.go": "package calc\n\nfunc Add(a, b int) int { return a - b }\n",
            "calc_test.go": go_test("Zero", "0, 0) != 0"),
        },
        {
            "calc.go": "package calc\n\nfunc Add(a, b int) int { return a + b }\n",
            "calc_test.go": go_test("Zero", "0, 0) != 0") + "\n",
            "more_test.go": go_test("Five", "2, 3) != 5"),
            "four_test.go": go_test("Four", "2, 2) != 4"),
        },
    ),
    "node": (
        {
            "package.json": '{"name": "calc", "scripts": {"test": "node --test"}}\n',
            "calc.js": "exports.add = (a, b) => a - b;\n",
            "test/calc.test.js": NODE_TEST,
        },
        {
            "calc.js": "exports.add = (a, b) => a + b;\n",
            "test/calc.test.js": NODE_TEST
            + "test('adds two and three', () => assert.strictEqual(add(2, 3), require('./numbers.js').five));\n",
            "test/numbers.js": "exports.five = 5;\n",
        },
    ),
    "cargo": (
        {
            "Cargo.toml": '[package]\nname = "calc"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/lib.rs": "pub fn add(a: i32, b: i32) -> i32 {\n    a - b\n}\n",
            "tests/calc.rs": RUST_TEST,
        },
        {
            "src/lib.rs": "pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n",
            "tests/calc.rs": RUST_TEST + "\n#[test]\nfn adds_two_and_three() {\n    assert_eq!(add(2, 3), 5);\n}\n",
        },
    ),
    "unittest": (
        {"pkg/__init__.py": "def add(a, b):\n    return a - b\n", "tests/test_pkg.py": UNIT_TEST},
        {
            "pkg/__init__.py": "def add(a, b):\n    return a + b\n",
            "tests/test_pkg.py": UNIT_TEST + "\n    def test_five(self):\n        self.assertEqual(add(2, 3), 5)\n",
        },
    ),
    "C": (
        {"calc.c": "int add(int a, int b) { return a - b; }\n", "checks/all.c": CHECK.replace("MORE", "")},
        {
            "calc.c": "int add(int a, int b) { return a + b; }\n",
            "checks/all.c": CHECK.replace("MORE", ' | is("adds two and three", add(2, 3) == 5)'),
        },
    ),
}
FOUND = {
    "go": (["TestFive", "TestFour"], ["TestZero"]),
    "node": (["- adds two and three"], ["- adds nothing"]),
    "cargo": (["adds_two_and_three"], ["adds_nothing"]),
    "unittest": (["test_five (tests.test_pkg.AddTest.test_five)"], ["test_zero (tests.test_pkg.AddTest.test_zero)"]),
    "C": (["adds two and three"], ["adds nothing"]),
}
IS_NUMBER = "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng=="
OF_C = ["--test-files", "checks/*", "--log-parser", "jq", "--test-command", "gcc -o /tmp/all {files} *.c && /tmp/all"]


def newest(history: History, setup: Setup) -> Candidate | str:
    return candidate(history, next(history.commits(1)), setup)


def judged(kind: str, tmp_path: Path, *options: str) -> None:
    """With the tests of FOUND."""
    mined_and_judged(tmp_path, *FOUND[kind], *options)


@pytest.mark.languages
@pytest.mark.parametrize("kind", ["go", "node", "cargo", "unittest"])
def test_a_project_is_known_by_its_files(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history_of(tmp_path / "repo", *PROJECTS[kind])
    judged(kind, tmp_path)
    assert f"tests of {kind}" in capsys.readouterr().err


def hash_of(*files: tuple[str, bytes]) -> str:
    """As go.sum names files: a hash of their hashes and names."""
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files)
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


@pytest.mark.languages
def test_modules_that_go_sum_names_are_there_without_a_network(tmp_path: Path) -> None:
    module = ("go.mod", b"module own.test/dep\n")
    source = ("own.test/dep@v1.0.0/dep.go", b"package dep\n\nfunc None() int { return 0 }\n")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(*source)
    proxy = io.BytesIO()
    with tarfile.open(fileobj=proxy, mode="w:gz") as tar:
        about = {"v1.0.0.info": b'{"Version": "v1.0.0"}', "v1.0.0.mod": module[1], "v1.0.0.zip": packed.getvalue()}
        for name, data in about.items():
            entry = tarfile.TarInfo(f"proxy/own.test/dep/@v/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    before, after = PROJECTS["go"]
    required = {
        "go.mod": before["go.mod"] + "\nrequire own.test/dep v1.0.0\n",
        "go.sum": f"own.test/dep v1.0.0 {hash_of(source)}\nown.test/dep v1.0.0/go.mod {hash_of(module)}\n",
    }
    using = 'package calc\n\nimport "own.test/dep"\n\nfunc Add(a, b int) int { return a + b + dep.None() }\n'
    history_of(tmp_path / "repo", {**before, **required}, {**after, "calc.go": using})
    unpack = f"echo {base64.b64encode(proxy.getvalue()).decode()} | base64 -d | tar -xz -C /"
    settings = "go env -w GOPROXY=file:///proxy 'GONOSUMDB=*'"
    judged("go", tmp_path, "--setup", unpack, "--setup", settings)


@pytest.mark.languages
def test_packages_of_the_lock_are_there_without_a_network(tmp_path: Path) -> None:
    before, after = PROJECTS["node"]
    about = {"name": "calc", "scripts": {"test": "node --test"}, "dependencies": {"is-number": "7.0.0"}}
    lock = {
        "name": "calc", "lockfileVersion": 3, "requires": True,
        "packages": {
            "": {"name": "calc", "dependencies": about["dependencies"]},
            "node_modules/is-number": {"version": "7.0.0", "integrity": IS_NUMBER, "engines": {"node": ">=0.12.0"}},
        },
    }  # fmt: skip
    locked = {"package.json": json.dumps(about), "package-lock.json": json.dumps(lock)}
    using = "const is = require('is-number');\nexports.add = (a, b) => (is(a) ? a + b : 0);\n"
    history_of(tmp_path / "repo", {**before, **locked}, {**after, "calc.js": using})
    judged("node", tmp_path)


@pytest.mark.docker
def test_any_command_whose_log_is_read_will_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history_of(tmp_path / "repo", *PROJECTS["C"])
    judged("C", tmp_path, *OF_C)
    assert "gcc -o /tmp/all {files} *.c && /tmp/all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "parser", "command"),
    [
        ("go", "parse_log_gotest", "go test -v ./..."),
        ("node", "parse_log_tap", "node --test --test-reporter=tap test/calc.test.js test/numbers.js"),
        ("cargo", "parse_log_cargo", "cargo test --offline --no-fail-fast"),
        ("unittest", "parse_log_django", "python -m unittest -v tests/test_pkg.py"),
    ],
)
def test_command_and_log_are_those_of_the_project(kind: str, parser: str, command: str, tmp_path: Path) -> None:
    found = newest(history_of(tmp_path, *PROJECTS[kind]), Setup("x"))
    assert isinstance(found, Candidate)
    instance = Instance.model_validate(found.row)
    assert (found.ecosystem.name, instance.log_parser) == (kind, parser)
    assert f"\n{command}\n: '>>>>> End" in instance.eval_script
    assert all(path not in instance.patch for path in instance.environment.test_files)


@pytest.mark.parametrize(
    ("before", "change", "why"),
    [
        ({}, {"x.go": "package x\n"}, "changes no tests"),
        ({}, {"x_test.go": "package x\n"}, "changes only tests"),
        ({}, {"x.go": "package x\n", "x_test.go": "package x\n"}, "nothing at its root tells how its tests are run"),
        ({"go.mod": "module x\n"}, {"README.md": "x", "x_test.go": "package x\n"}, "both code and tests of go"),
        ({"package.json": '{"scripts": {"test": "jest"}}'}, {"a.js": "", "a.test.js": ""},
         "its tests need jest, which is neither in node_modules nor in a package-lock.json"),
        ({"package.json": '{"scripts": {"test": "gulp"}}'}, {"a.js": "", "a.test.js": ""}, "('gulp' in package.json)"),
        ({"package.json": "[]"}, {"a.js": "", "a.test.js": ""}, "its test script ('' in package.json)"),
    ],
)  # fmt: skip
def test_why_a_commit_is_no_task(before: Files, change: Files, why: str, tmp_path: Path) -> None:
    said = newest(history_of(tmp_path, {"begin": "", **before}, change), Setup("x"))
    assert isinstance(said, str)
    assert why in said


def test_dependencies_are_got_by_their_lock(tmp_path: Path) -> None:
    lock = json.dumps({"packages": {"node_modules/jest": {}}, "words": [f"{number}" * 9 for number in range(70_000)]})
    project = {"package.json": '{"scripts": {"test": "jest --ci"}}', "package-lock.json": lock}
    change = {"a.js": "1", "a.test.js": "1"}
    history = history_of(tmp_path, project, change)
    found = newest(history, Setup("x"))
    assert isinstance(found, Candidate)
    commands = found.row["environment"]["env_install"]
    assert "npm ci --ignore-scripts" in commands[-1]
    assert found.ecosystem.command == "jest --verbose {files}"
    assert len(commands) > 5, "the lock is long"
    assert max(map(len, commands)) < 131_072, "the kernel takes no longer argument"
    commit(tmp_path, "Another jest", {**change, "a.js": "2", "a.test.js": "2", "package-lock.json": lock + " "})
    assert newest(history, Setup("x")) == "changes what the project depends on"


def test_of_two_kinds_in_one_repository_the_tests_decide(tmp_path: Path) -> None:
    manifests = {"go.mod": "module x\n", "package.json": "{}", "pyproject.toml": "[tool.pytest]\n"}
    python = {"x.py": "", "test_x.py": "import unittest\n"}
    history = history_of(tmp_path, manifests, {"x.go": "package x\n", "x_test.go": "package x\n"}, python)
    found = [candidate(history, each, Setup("x")) for each in history.commits(2)]
    assert [each.ecosystem.name for each in found if isinstance(each, Candidate)] == ["pytest", "go"]


def test_what_the_user_says_goes_before_what_is_found(tmp_path: Path) -> None:
    history = history_of(tmp_path, *PROJECTS["go"])
    wanted = Setup("x", command="go test -v -short {files}", debian=("make",), release="bullseye", steps=("true",))
    found = newest(history, wanted)
    assert isinstance(found, Candidate)
    assert found.row["log_parser"] == "parse_log_gotest"
    assert "\ngo test -v -short calc_test.go four_test.go more_test.go\n" in found.row["eval_script"]
    assert found.row["environment"]["base"] == "debian-bullseye-py3.9"
    assert found.row["environment"]["env_install"][0].endswith("golang-go make")
    assert found.row["environment"]["env_install"][1] == "true"
    history = history_of(tmp_path / "python", *PROJECTS["unittest"])
    found = newest(history, Setup("x", runner="pytest"))
    assert isinstance(found, Candidate)
    assert "python -m pytest -rA" in found.row["eval_script"]


def test_tests_that_must_fail_do_not_share_a_name() -> None:
    lines = Canary().additions(["a_test.go", "b_test.go"])
    assert len({line.split("func ")[1].split("(")[0] for line in lines}) == 2
