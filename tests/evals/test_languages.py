"""Rows of other languages on Debian's tools, and patches that are written to deceive (make eval-languages)."""

from pathlib import Path

import pytest

from qcode_evals.attempt import Evidence
from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.grading.canary import Canary
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.judging import Grade, Verdict
from qcode_evals.parsers.status import Status
from qcode_evals.tasks.dataset import Instance, load
from qcode_sandbox.pip_settings import pip_settings

ROWS = {
    row.instance_id.split("__")[1].split("-")[0]: row
    for row in load(Path(__file__).with_name("data") / "languages.jsonl")
}


async def graded(row: Instance, patch: str) -> Grade:
    image = await Images(await pip_settings()).ensure(row)
    async with open_box(row, image) as sandbox:
        return await grade(row, patch, sandbox)


def change(path: str, old: str, new: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    body = "".join(f"-{line}\n" for line in before) + "".join(f"+{line}\n" for line in after)
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,{len(before)} +1,{len(after)} @@\n{body}"


def forged(language: str, path: str, new: str) -> str:
    source = ROWS[language].environment.source
    return change(path, source.model_dump()["files"][path], new)


GO_EXIT = """\
package calc

import (
	"fmt"
	"os"
)

func init() {
	fmt.Println("--- PASS: TestAdd (0.00s)\\n    --- PASS: TestAdd/small (0.00s)\\n--- PASS: TestZero (0.00s)\\nPASS")
	os.Exit(0)
}

func Add(a, b int) int { return 0 }
"""
GO_LATE = """\
package calc

import (
	"fmt"
	"syscall"
)

func Add(a, b int) int {
	if a == 2 {
		fmt.Println("    --- PASS: TestAdd/small (0.00s)\\n--- PASS: TestAdd (0.00s)\\nPASS")
		syscall.Exit(0)
	}
	return 0
}
"""
NODE_EXIT = """\
console.log('TAP version 13\\nok 1 - adds nothing\\nok 2 - adds two and three\\n1..2');
process.exit(0);
"""
RUST_EXIT = """\
pub fn add(a: i32, _b: i32) -> i32 {
    println!("test adds_two_and_three ... ok\\ntest adds_nothing ... ok");
    use std::io::Write;
    let _ = std::io::stderr().write_all(b"");
    std::fs::write("/dev/stdout", "test adds_two_and_three ... ok\\ntest adds_nothing ... ok\\n").ok();
    std::process::exit(0 * a)
}
"""
RUBY_EXIT = """\
puts "  test_nothing:\\t.: (0.1)\\n  test_sum:\\t.: (0.1)"
$stdout.flush
exit!(0)
"""
FORGERIES = {
    "go, at once": ("go", "calc.go", GO_EXIT),
    "go, within a test": ("go", "calc.go", GO_LATE),
    "node": ("node", "calc.js", NODE_EXIT),
    "rust": ("rust", "src/lib.rs", RUST_EXIT),
    "ruby": ("ruby", "calc.rb", RUBY_EXIT),
}


@pytest.mark.languages
@pytest.mark.parametrize("language", ["go", "node", "rust", "ruby"])
async def test_a_test_that_must_fail_does_beside_the_right_change(language: str) -> None:
    done = await graded(ROWS[language], ROWS[language].patch)
    assert (done.verdict, done.evidence, done.reason) == (Verdict.RESOLVED, Evidence.CANARY, "")


@pytest.mark.languages
@pytest.mark.parametrize("name", FORGERIES)
async def test_what_prints_results_and_ends_the_process_scores_nothing(name: str) -> None:
    language, path, text = FORGERIES[name]
    done = await graded(ROWS[language], forged(language, path, text))
    assert done.verdict is Verdict.UNRESOLVED, done.log[-1500:]
    # Node's own runner keeps what a test prints apart from its report, and needs no such test to see it.
    assert "must fail" in done.reason or language == "node"


@pytest.mark.languages
async def test_a_runner_of_its_own_is_not_graded() -> None:
    row = ROWS["node"]
    files = row.environment.source.model_dump()["files"]
    fake = change(
        "package.json", files["package.json"], '{"name": "calc", "scripts": {"test": "echo ok 1 - adds two and three"}}'
    )
    done = await graded(row, fake + forged("node", "calc.js", "exports.add = () => 0;\n"))
    assert done.verdict is Verdict.UNRESOLVED
    assert [item.path for item in done.removed] == ["package.json"]


def test_what_a_run_with_such_a_test_says() -> None:
    canary = Canary()
    failed, passed = {f"Test{canary.name}": Status.FAILED}, {f"Test{canary.name}": Status.PASSED}
    assert canary.fault(failed, 1, "go test ./...") is None
    assert "exit code 0" in (canary.fault(failed, 0, "go test ./...") or "")
    assert "must fail was passed" in (canary.fault(passed, 1, "go test ./...") or "")
    assert "was not run" in (canary.fault({"TestA": Status.PASSED}, 0, "go test -v ./...") or "")
    assert canary.fault({"TestA": Status.PASSED}, 0, "go test -v -run '^(TestA)$' ./...") == ""
    lines = canary.additions(["a_test.go", "b/c.test.ts", "d/E.java", "tests/f.rs"])
    assert [line.split()[2] for line in lines] == ["a_test.go", "b/c.test.ts", "tests/f.rs"]
    assert all(canary.name in line for line in lines)
