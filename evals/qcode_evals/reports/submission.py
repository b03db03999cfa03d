"""`qcode-evals submission`: a run as the folder that SWE-bench's repository of experiments takes.

Layout: README of github.com/SWE-bench/experiments and its checklist.md: all_preds.jsonl, metadata.yaml, README.md,
logs/<id>/, trajs/<id>.traj. Only first attempts go in, because a submission is one attempt at each task.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from qcode import __version__
from qcode.errors import ConfigError
from qcode_evals.attempt import Attempt, attempt_folder
from qcode_evals.reports.compare import read_attempts
from qcode_evals.reports.scoring import summary
from qcode_evals.running.results import PREDICTIONS

_LOGS = ("patch.diff", "report.json", "test_output.txt")


def _metadata(name: str, site: str, attempts: Sequence[Attempt]) -> str:
    """YAML; strings stand in JSON's quotes, which YAML reads the same."""
    models = sorted({attempt.model for attempt in attempts})
    lines = ["info:", f"  name: {json.dumps(name)}", f"  site: {json.dumps(site)}", "  logs: true", "  trajs: true"]
    lines += ["tags:", "  checked: false", "  model:", *(f"    - {json.dumps(model)}" for model in models)]
    lines += ["  system:", '    attempts: "1"', ""]
    return "\n".join(lines)


def _readme(name: str, attempts: Sequence[Attempt]) -> str:
    facts = "\n".join(f"- {line}" for line in summary(attempts))
    return f"""# {name}

{facts}

Made by qcode {__version__}. Each task was tried once, in a container without network whose repository has no later
commits, and graded in a fresh one: edits of tests and of test configuration were taken out, and a test counts only if
log, exit code and a signed report from its own process agree. `PASS_TO_PASS`, `FAIL_TO_PASS` and hints were not shown.
"""


def write(results: Path, target: Path, *, name: str, site: str = "") -> int:
    """Make the folder `target`; the number of predictions in it. Raises: ConfigError."""
    attempts = [attempt for attempt in read_attempts(results) if attempt.repeat == 0]
    try:
        predictions = (results / PREDICTIONS).read_text(encoding="utf-8")
        target.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"cannot make {target}: {error.filename}: {error.strerror}") from None
    (target / "trajs").mkdir()
    (target / "all_preds.jsonl").write_text(predictions, encoding="utf-8")
    for attempt in attempts:
        source, goal = results / attempt_folder(attempt.instance_id, 0), target / "logs" / attempt.instance_id
        goal.mkdir(parents=True)
        for log in _LOGS:
            if (source / log).is_file():
                shutil.copyfile(source / log, goal / log)
        if attempt.trajectory and (results / attempt.trajectory).is_file():
            shutil.copyfile(results / attempt.trajectory, target / "trajs" / f"{attempt.instance_id}.traj")
    (target / "metadata.yaml").write_text(_metadata(name, site, attempts), encoding="utf-8")
    (target / "README.md").write_text(_readme(name, attempts), encoding="utf-8")
    return len(predictions.splitlines())


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="qcode-evals submission", description=(__doc__ or "").split("\n")[0][25:])
    top.add_argument("results", type=Path, metavar="DIR", help="output folder of a run")
    top.add_argument("target", type=Path, metavar="TARGET", help="folder to make, such as 20261122_qcode")
    top.add_argument("--name", required=True, help="of the entry on the leaderboard")
    top.add_argument("--site", default="", metavar="URL", help="where the system is described")
    return top


def main(argv: Sequence[str]) -> int:
    """Make the folder. Raises: ConfigError."""
    args = parser().parse_args(argv)
    count = write(args.results, args.target, name=args.name, site=args.site)
    print(f"{count} predictions in {args.target}; a technical report and a pull request are yours to add")
    return 0
