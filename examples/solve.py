"""Watch a local model fix a real bug: copies an example into a git repository, shows its tests fail, lets `qcode run`
solve its issue in a Docker sandbox, and shows the tests again.

    python examples/solve.py [EXAMPLE] [qcode run's options]
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.specs import DockerSpec, Source

EXAMPLES = Path(__file__).resolve().parent
TESTS = "python3 -m pytest -q -p no:cacheprovider"


def main(argv: list[str]) -> int:
    name = argv.pop(0) if argv and not argv[0].startswith("-") else "averages"
    with tempfile.TemporaryDirectory(prefix="qcode-example-") as folder:
        repository = Path(folder) / name
        shutil.copytree(EXAMPLES / name, repository, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        make_repository(repository)
        heading(f"The issue ({name}/issue.md)")
        print((repository / "issue.md").read_text(encoding="utf-8"))
        heading(f"Before: {TESTS}")
        if run_tests(repository) == 0:
            print("the tests pass already: nothing to fix")
            return 1
        heading("qcode run --task issue.md --apply")
        command = [sys.executable, "-P", "-m", "qcode", "run", "--task", str(repository / "issue.md")]
        solved = subprocess.run([*command, "--repo", str(repository), "--apply", *argv], check=False)
        heading(f"After: {TESTS}")
        passed = run_tests(repository) == 0
        untouched = unchanged_tests(repository)
        if passed and untouched and solved.returncode == 0:
            print("\nSolved: the tests pass now, and only the code was changed.")
            return 0
        why = "the tests still fail" if not passed else "the tests were edited" if not untouched else "qcode run failed"
        print(f"\nNot solved: {why}. Run it again, or with a larger model: --model NAME.", file=sys.stderr)
        return solved.returncode or 1


def heading(text: str) -> None:
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}== {text}{plain}", flush=True)


def make_repository(folder: Path) -> None:
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["-c", "user.name=example", "-c", "user.email=example@localhost", "commit", "-q", "-m", "Averages with a bug"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def unchanged_tests(folder: Path) -> bool:
    changed = subprocess.run(
        ["git", "-C", str(folder), "status", "--porcelain", "--", "test_*.py"], check=True, capture_output=True
    )
    return not changed.stdout


def run_tests(folder: Path) -> int:
    """The tests run in a sandbox too: they run the code that the model wrote."""

    tracked = subprocess.run(["git", "-C", str(folder), "ls-files", "-z"], check=True, capture_output=True, text=True)

    async def run() -> int:
        source = Source(root=folder, files=[name for name in tracked.stdout.split("\0") if name])
        async with open_sandbox(DockerSpec(source=source)) as sandbox:
            result = await sandbox.exec(TESTS, timeout_s=60)
        print(result.output, flush=True)
        return result.exit_code

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
