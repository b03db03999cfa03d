"""From a git history to a task that its own patch resolves and none does not."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from histories import commit, git

from qcode_evals.cli import main
from qcode_evals.mining.history import History
from qcode_evals.tasks.dataset import load

Files = dict[str, str]


def history_of(folder: Path, *commits: Files) -> History:
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    for number, files in enumerate(commits):
        commit(folder, f"The change {number}", files)
    return History(folder)


def mined_and_judged(tmp_path: Path, to_pass: Sequence[str], kept: Collection[str], *options: str) -> None:
    """Mine tmp_path/repo, which gives one row with these tests, and judge it with its patch and without."""
    rows = tmp_path / "rows.jsonl"
    mine = ["mine", str(tmp_path / "repo"), "--out", str(rows), "--runs", "1", "--debian", "bookworm", *options]
    assert main(mine) == 0
    (instance,) = load(rows)
    assert list(instance.fail_to_pass) == to_pass
    assert set(kept) <= set(instance.pass_to_pass)
    for agent, resolved in (("gold", "all"), ("empty", "none")):
        judge = ["--dataset", str(rows), "--agent", agent, "--expect-resolved", resolved]
        assert main([*judge, "--out", str(tmp_path / agent)]) == 0
        report = json.loads((tmp_path / agent / "report.json").read_text(encoding="utf-8"))
        assert report["resolved_instances"] == (1 if agent == "gold" else 0)
