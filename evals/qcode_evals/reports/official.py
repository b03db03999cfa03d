"""`qcode-evals official`: have the logs of a run graded by the official `swebench` package, and compare the verdicts.

The package lives in an environment of its own (its dependencies are many) and is run as a child process. It is given
rows, patches and logs, and starts no container. Where qcode's grading is stricter (no signed report, changed runner),
it may say resolved and qcode not; the other way round must not happen.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qcode.errors import QcodeError
from qcode.ui.sanitize import visible
from qcode_evals.attempt import Attempt, Outcome, attempt_folder
from qcode_evals.reports.compare import read_attempts
from qcode_evals.running.making import title
from qcode_evals.tasks.adapters.hub import PREFIX, files_of
from qcode_evals.tasks.rows import read_rows

_CHILD = """
import json, sys
from importlib.metadata import version
from swebench.harness.grading import get_eval_report
from swebench.types import TestSpec

def listed(value):
    return json.loads(value) if isinstance(value, str) else list(value)

verdicts = {}
for line in open(sys.argv[1], encoding="utf-8"):
    item = json.loads(line)
    row = item["row"]
    spec = TestSpec(
        instance_id=row["instance_id"], image=row.get("image", ""), eval_script_list=[], repo=row["repo"],
        version=str(row.get("version", "")), FAIL_TO_PASS=listed(row["FAIL_TO_PASS"]),
        PASS_TO_PASS=listed(row["PASS_TO_PASS"]), log_parser=row["log_parser"],
        eval_type=row.get("eval_type") or "pass_and_fail",
    )
    prediction = {"instance_id": spec.instance_id, "model_name_or_path": "x", "model_patch": item["patch"]}
    verdicts[item["name"]] = get_eval_report(spec, prediction, item["log"], True)[spec.instance_id]
print(json.dumps({"version": version("swebench"), "verdicts": verdicts}))
"""
_TIMEOUT_S = 1800


class OfficialError(QcodeError):
    """For the user: the official package cannot be run."""

    exit_code = 4


def _rows(dataset: Path) -> dict[str, dict[str, Any]]:
    """Rows as they are: the official package shall see what it would see. Raises: ConfigError."""
    given = files_of(str(dataset)) if str(dataset).startswith(PREFIX) else [dataset]
    found = (row for path in given for _, row in read_rows(path))
    return {str(row.get("instance_id")): row for row in found if isinstance(row, dict)}


def _judged(folder: Path) -> dict[str, Attempt]:
    """Attempts that left a log, by the folder that it is in. Raises: ConfigError."""
    attempts = {attempt_folder(one.instance_id, one.repeat): one for one in read_attempts(folder)}
    return {name: one for name, one in attempts.items() if (folder / name / "test_output.txt").is_file()}


def verdicts(folder: Path, dataset: Path, python: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Version of the official package, and its report on every attempt that has a log, by the attempt's folder.

    Raises: ConfigError, OfficialError.
    """
    rows = _rows(dataset)
    with tempfile.TemporaryDirectory(prefix="qcode-") as name:
        listing = Path(name) / "items.jsonl"
        with listing.open("w", encoding="utf-8") as file:
            for place, attempt in _judged(folder).items():
                if attempt.instance_id in rows:
                    logs = (folder / place).absolute()
                    item = {
                        "name": place,
                        "row": rows[attempt.instance_id],
                        "patch": _patch(logs / "patch.diff"),
                        "log": str(logs / "test_output.txt"),
                    }
                    file.write(json.dumps(item, default=str) + "\n")
        try:
            child = subprocess.run(
                [python.absolute(), "-I", "-c", _CHILD, listing],
                capture_output=True, text=True, cwd=name, timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OfficialError(f"cannot run the official package with {python}: {error}") from None
    if child.returncode != 0:
        why = (child.stderr.strip().splitlines() or ["no reason given"])[-1]
        if "No module named 'swebench" in why:
            why = "it is not there; name the interpreter of an environment that has 'swebench>=5' with --python"
        raise OfficialError(f"the official package failed under {python}: {why}")
    said = json.loads(child.stdout.splitlines()[-1])
    return str(said["version"]), dict(said["verdicts"])


def _patch(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="qcode-evals official", description=(__doc__ or "").split("\n\n")[1])
    top.add_argument("results", type=Path, metavar="DIR", help="output folder of a run")
    top.add_argument("--dataset", type=Path, required=True, metavar="FILE", help="the rows that it was over")
    top.add_argument(
        "--python", type=Path, default=Path(sys.executable), metavar="FILE",
        help="interpreter of the environment that has swebench (default: this one)",
    )  # fmt: skip
    return top


def main(argv: Sequence[str]) -> int:
    """Compare, say it, and leave with 1 if the verdicts differ. Raises: ConfigError, OfficialError."""
    args = parser().parse_args(argv)
    version, official = verdicts(args.results, args.dataset, args.python)
    compared = {name: attempt for name, attempt in _judged(args.results).items() if name in official}
    differing = 0
    for name, attempt in compared.items():
        theirs = bool(official[name]["resolved"])
        named = title(attempt.instance_id, attempt.repeat)
        if theirs is not attempt.resolved and attempt.outcome is not Outcome.EMPTY_PATCH:
            differing += 1
            said = "resolved" if theirs else "not resolved"
            print(visible(f"{named}: swebench says {said}, qcode {attempt.outcome} ({attempt.reason})"))
        elif theirs and attempt.outcome is Outcome.EMPTY_PATCH:
            differing += 1
            print(visible(f"{named}: swebench says resolved without a patch"))
    print(f"swebench {version} agrees on {len(compared) - differing} of {len(compared)} logs")
    return 1 if differing or not compared else 0
