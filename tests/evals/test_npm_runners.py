"""Histories of projects whose test runner comes from npm, at versions that its lock names."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from mined import Files, history_of, mined_and_judged

LOCKING = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
SUITE = "describe('add', () => {\n  WORD('adds nothing', () => CHECK(add(0, 0), 0));MORE\n});\n"
MORE = "\n  WORD('adds two and three', () => CHECK(add(2, 3), 5));"
TAPE = "const test = require('tape');\nconst { add } = require('../calc.js');\nMORE"
ZERO = "test('nothing', (t) => { t.equal(add(0, 0), 0, 'adds nothing'); t.end(); });\n"
FIVE = "test('more', (t) => { t.equal(add(2, 3), 5, 'adds two and three'); t.end(); });\n"
EXPECTING = "const is = (a, b) => expect(a).toBe(b);\n"
REQUIRED = "const { add } = require('../calc.js');\n"
IMPORTED = "import { expect, test, describe } from 'vitest';\nimport { add } from '../calc.js';\n"


def suite(head: str, word: str, check: str) -> tuple[str, str]:
    """A test file before and after the change."""
    text = head + SUITE.replace("WORD", word).replace("CHECK", check)
    return text.replace("MORE", ""), text.replace("MORE", MORE.replace("WORD", word).replace("CHECK", check))


RUNNERS: dict[str, tuple[str, str, tuple[str, str], str]] = {
    "jest": ("^29", "jest", suite(REQUIRED + EXPECTING, "test", "is"), ""),
    "vitest": ("^2", "vitest run", suite(IMPORTED + EXPECTING, "test", "is"), "test/calc.test.js > add > "),
    "mocha": ("^10", "mocha", suite(REQUIRED + "const is = require('assert').equal;\n", "it", "is"), "add "),
    "tape": ("^5", "tape test/*.js", (TAPE.replace("MORE", ZERO), TAPE.replace("MORE", ZERO + FIVE)), ""),
}
"""By name: the versions for Debian's Node.js 18, the project's test script, its test file before and after the change,
and what stands before the names of its tests."""


def lock_of(package: str, folder: Path) -> str:
    """The lock of a package.json. What no package index offers for other machines is no part of it, which npm minds."""
    folder.mkdir()
    (folder / "package.json").write_text(package, encoding="utf-8")
    subprocess.run(LOCKING, cwd=folder, check=True, capture_output=True, timeout=600)
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    for entry in lock["packages"].values():
        wanted = entry.get("optionalDependencies", {})
        for name in [name for name in wanted if f"node_modules/{name}" not in lock["packages"]]:
            del wanted[name]
    return json.dumps(lock)


@pytest.mark.languages
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm, to make the lock of a project")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_runner_from_the_lock(runner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version, script, (before, after), prefix = RUNNERS[runner]
    module = runner == "vitest"
    package = json.dumps({
        "name": "calc", "version": "1.0.0", "type": "module" if module else "commonjs", "scripts": {"test": script},
        "devDependencies": {runner: version},
    })  # fmt: skip
    head = "export const add" if module else "exports.add"
    first: Files = {
        "package.json": package,
        "package-lock.json": lock_of(package, tmp_path / "locked"),
        "calc.js": f"{head} = (a, b) => a - b;\n",
        "test/calc.test.js": before,
    }
    history_of(tmp_path / "repo", first, {"calc.js": f"{head} = (a, b) => a + b;\n", "test/calc.test.js": after})
    mined_and_judged(tmp_path, [f"{prefix}adds two and three"], [f"{prefix}adds nothing"])
    assert f"tests of {runner}" in capsys.readouterr().err
