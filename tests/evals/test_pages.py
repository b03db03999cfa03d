"""The page of a run and the folder of a submission, from results as a run leaves them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from qcode.messages import Usage
from qcode_evals.attempt import Attempt, Outcome, Seconds
from qcode_evals.cli import main
from qcode_evals.grading.judging import Grade, Split, Verdict
from qcode_evals.reports.charts import ticks
from qcode_evals.reports.compare import read_attempts
from qcode_evals.reports.pages import page
from qcode_evals.running.making import Made
from qcode_evals.running.results import Results

EVIL = '</pre><script>alert("x")</script><img src=http://127.0.0.1/x>\x1b]0;title\x07\u202e'


def attempt(name: str, outcome: Outcome, **more: Any) -> Attempt:
    resolved = outcome is Outcome.RESOLVED
    usage = Usage(prompt_tokens=2000, cached_tokens=500, completion_tokens=100, requests=3)
    seconds = Seconds(agent=12.0, grading=2.0, prefill=3.0, decode=4.0)
    given = {"instance_id": name, "outcome": outcome, "resolved": resolved, "usage": usage, "seconds": seconds}
    return Attempt.model_validate({"key": "k", "agent": "qcode", "model": f"model{EVIL}"} | given | more)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    written = Results(folder, resume=False)
    grade = Grade(Verdict.RESOLVED, "", log=f"log {EVIL}\n", fail_to_pass=Split(["t"]))
    events = [
        {"event": "turn_started", "text": f"task {EVIL}"},
        {
            "event": "assistant_done",
            "message": {"text": EVIL, "tool_calls": [{"name": "bash", "arguments": {"x": EVIL}}]},
        },
        {"event": "tool_finished", "result": {"name": "bash", "status": "ok", "content": EVIL}},
        {"event": "tool_started", "call": {"arguments": {"command": "git fetch"}}},
        {"event": "tool_finished"},
        "not an object",
    ]
    log = "".join(json.dumps(event) + "\n" for event in events).encode() + b"torn {"
    patch = f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+{EVIL}\n"
    written.add(Made(attempt("own__a-1", Outcome.RESOLVED), patch, grade, ("s.jsonl", log)))
    written.add(Made(attempt("own__a-2", Outcome.UNRESOLVED, reason=EVIL), "x", None))
    written.add(Made(attempt("own__b-1", Outcome.INFRA_ERROR), None, None))
    written.finish(["own__a-1", "own__a-2", "own__b-1"])
    return folder


class Reader(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "style"}]
        self.addresses += [name for name, _ in attrs if name.startswith("on")]


def test_the_page_holds_the_run_and_nothing_that_acts(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(results)]) == 0
    assert "1 of 2 resolved" in capsys.readouterr().out
    text = (results / "report.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(reader.tags)
    assert reader.addresses == []
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    assert "default-src 'none'" in text
    assert "tried to look the fix up in: a remote" in text
    assert "50.0% (95 % interval 9.5% to 90.5%)" in text
    assert text.count("alert(&quot;x&quot;)") >= 6, "title, reason, patch, log, task, answer, call and its result"
    assert reader.tags.count("svg") == 4
    assert text.count("<details>") == 7, "three attempts, two patches, a trajectory, a log"


def test_the_submission_has_what_the_experiments_repository_asks_for(results: Path, tmp_path: Path) -> None:
    target = tmp_path / "20261122_qcode"
    assert main(["submission", str(results), str(target), "--name", 'qcode "x": y']) == 0
    names = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert names >= {
        "all_preds.jsonl", "metadata.yaml", "README.md", "trajs/own__a-1.traj", "logs/own__a-1/patch.diff",
        "logs/own__a-1/report.json", "logs/own__a-1/test_output.txt",
    }  # fmt: skip
    predictions = (target / "all_preds.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["instance_id"] for line in predictions] == ["own__a-1", "own__a-2"]
    assert '  name: "qcode \\"x\\": y"' in (target / "metadata.yaml").read_text(encoding="utf-8")
    assert main(["submission", str(results), str(target), "--name", "x"]) == 2, "nothing is overwritten"


@pytest.mark.parametrize(
    ("most", "last", "count"),
    [(0, 1, 2), (0.3, 0.3, 4), (1, 1, 6), (7, 8, 5), (38.2, 40, 5), (100, 100, 6), (87_694, 100_000, 6), (448, 500, 6)],
)
def test_axes_have_round_numbers(most: float, last: float, count: int) -> None:
    found = ticks(most)
    assert (found[0], found[-1]) == (0, pytest.approx(last))
    assert len(found) == count


def test_a_page_of_many_attempts_stays_small_and_says_where_the_rest_is(results: Path) -> None:
    text = page(results, read_attempts(results), room=1)
    assert text.count("<summary>patch</summary>") == 1
    assert "its files: logs/own__a-2</p>" in text
    assert "its files: logs/own__a-1<" not in text
