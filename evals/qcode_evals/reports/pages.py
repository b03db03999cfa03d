"""report.html: a run in one file without network or script, with every attempt's trajectory, patch and log.

All text of the run is foreign: escaped, control characters spelled out, and the page's policy allows nothing but its
own styles.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from qcode.ui.sanitize import visible
from qcode_evals.attempt import Attempt, Evidence, Outcome, attempt_folder
from qcode_evals.reports import charts
from qcode_evals.reports.audit import looked_up
from qcode_evals.reports.compare import read_attempts
from qcode_evals.reports.scoring import Price, score, summary
from qcode_evals.running.making import title
from qcode_evals.running.results import writing
from qcode_evals.statistics import wilson

PAGE = "report.html"
_TEXT, _TRAJECTORY, _PAGE = 20_000, 60_000, 40_000_000
"""Characters of a patch or log, of a trajectory, and of all of them that the page holds; the files hold the rest."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --dim: #667085; --line: #d8dde6; --paper: #fff; --card: #f6f7f9;
  --good: #1a7f4b; --bad: #b3412e; --warn: #b7791f; --accent: #2b5fab; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #38404d; --paper: #14171c;
  --card: #1c2027; --good: #4fbf85; --bad: #e2806d; --warn: #dba94e; --accent: #7fa9ea; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1080px; padding: 24px; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 32px 0 8px; }
.score { font-size: 40px; font-weight: 650; } .dim, small { color: var(--dim); fill: var(--dim); }
ul.facts { list-style: none; padding: 0; margin: 8px 0; } .plots { display: grid; gap: 24px;
  grid-template-columns: repeat(auto-fit, minmax(min(460px, 100%), 1fr)); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg text.dim { fill: var(--dim); } .grid { stroke: var(--line); } .interval { stroke: var(--accent); stroke-width: 3; }
.point { fill: var(--accent); } .curve { fill: none; stroke: var(--accent); stroke-width: 2; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: 4px 12px 4px 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td.number, th.number { text-align: right; }
details { border: 1px solid var(--line); border-radius: 6px; margin: 6px 0; background: var(--card); }
details details { margin: 6px 12px; background: var(--paper); } summary { padding: 6px 12px; cursor: pointer; }
pre { overflow: auto; max-height: 480px; margin: 0; padding: 8px 12px; font: 12px/1.45 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; } p { margin: 4px 12px; }
.part { stroke: var(--paper); stroke-width: 1; }
.resolved { fill: var(--good); color: var(--good); } .unresolved { fill: var(--bad); color: var(--bad); }
.empty_patch { fill: #d98a7a; color: var(--bad); } .patch_failed { fill: #8c4a6b; color: #b0708f; }
.test_timeout { fill: #b98aa8; color: #b0708f; } .agent_limit { fill: var(--warn); color: var(--warn); }
.agent_oom { fill: #8a5a34; color: #c07a52; } .agent_error { fill: #c9965f; color: #c07a52; }
.infra_error { fill: #7d889b; color: var(--dim); } .invalid_task { fill: #b9c0cc; color: var(--dim); }
.add { color: var(--good); } .cut { color: var(--bad); }
"""


def _said(text: str, limit: int = _TEXT, *, end: bool = False) -> str:
    """Foreign text for the page; of a long one its beginning, or its end."""
    kept = text[-limit:] if end else text[:limit]
    note = f"[{len(text) - limit:,} characters more in the file]\n" if len(text) > limit else ""
    return escape(visible((note if end else "") + kept + ("" if end or not note else "\n" + note)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _diff(text: str) -> str:
    kinds = {"+": "add", "-": "cut"}
    lines = _said(text).split("\n")
    return "\n".join(f'<span class="{kinds[line[0]]}">{line}</span>' if line[:1] in kinds else line for line in lines)


def _steps(log: str) -> Iterator[tuple[str, str]]:
    """Heading and text of what happened, from a session's log."""
    for line in log.splitlines():
        try:
            event: dict[str, Any] = json.loads(line)
            match event.get("event"):
                case "turn_started" | "feedback":
                    yield str(event["event"]).replace("_", " "), str(event["text"])
                case "assistant_done":
                    message = event["message"]
                    calls = "".join(
                        f"\n→ {call['name']} {json.dumps(call['arguments'])}" for call in message["tool_calls"]
                    )
                    yield f"model, {event.get('seconds', 0):.1f} s", f"{message['text']}{calls}"
                case "tool_finished":
                    result = event["result"]
                    yield (
                        f"{result['name']}: {result['status']}, {event.get('seconds', 0):.1f} s",
                        str(result["content"]),
                    )
                case "turn_finished":
                    yield f"ended: {event['reason']}", str(event.get("error") or "")
                case None if "answer" in event:
                    yield from _exchange(event)
                case _:
                    continue
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def _exchange(line: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """One request of another agent, as command/tally.py logs it: what is new in it, and the answer."""
    for message in line["messages"]:
        content = message.get("content")
        said = content if isinstance(content, str) else json.dumps(content)
        if message.get("role") != "assistant":
            yield str(message.get("role")), said
    yield f"model, {line['seconds']:.1f} s", str(line["answer"])


def _trajectory(log: str) -> str:
    parts, room = [], _TRAJECTORY
    for heading, text in _steps(log):
        if room <= 0:
            parts.append("<p class=dim>The rest is in the file.</p>")
            break
        shown = text[: min(room, 6_000)]
        room -= len(shown) + len(heading)
        parts.append(f"<p><small>{_said(heading)}</small></p><pre>{_said(shown)}</pre>")
    return "".join(parts)


def _attempt(folder: Path, attempt: Attempt, *, whole: bool) -> str:
    place = folder / attempt_folder(attempt.instance_id, attempt.repeat)
    usage = attempt.usage
    tokens = usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens
    facts = [f"{attempt.seconds.total:,.1f} s", f"{tokens:,} tokens", f"{attempt.steps} steps"]
    inner = [f"<p>{_said(attempt.reason)}</p>"] if attempt.reason else []
    if attempt.removed:
        inner.append(f"<p>not graded: {_said(', '.join(f'{item.path} ({item.why})' for item in attempt.removed))}</p>")
    if attempt.evidence is Evidence.LOG:
        inner.append("<p>judged by log and exit code alone</p>")
    if not whole:
        inner.append(f"<p>its files: {_said(attempt_folder(attempt.instance_id, attempt.repeat))}</p>")
    trajectory = _read(folder / attempt.trajectory) if attempt.trajectory and whole else ""
    if looked := looked_up(trajectory):
        inner.append(f"<p>tried to look the fix up in: {', '.join(looked)}</p>")
    for name, body in (
        ("trajectory", _trajectory(trajectory)),
        ("patch", f"<pre>{_diff(patch)}</pre>" if whole and (patch := _read(place / "patch.diff")).strip() else ""),
        (
            "test log",
            f"<pre>{_said(log, end=True)}</pre>" if whole and (log := _read(place / "test_output.txt")) else "",
        ),
    ):
        if body:
            inner.append(f"<details><summary>{name}</summary>{body}</details>")
    return (
        f'<details><summary><b class="{attempt.outcome}">{attempt.outcome}</b> '
        f"{_said(title(attempt.instance_id, attempt.repeat))} <small>{' · '.join(facts)}</small></summary>"
        f"{''.join(inner)}</details>"
    )


def _attempts(folder: Path, attempts: Sequence[Attempt], room: int) -> Iterator[str]:
    """Each with what it left, as long as the page has room; the others with the place of their files."""
    for attempt in attempts:
        text = _attempt(folder, attempt, whole=room > 0)
        room -= len(text)
        yield text


def _repository(attempt: Attempt) -> str:
    """SWE-bench's ids are owner__name-number."""
    return attempt.instance_id.rpartition("-")[0] or attempt.instance_id.partition("__")[0]


def _by_repository(attempts: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    table: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        table[_repository(attempt)].append(attempt)
    return dict(sorted(table.items()))


def _table(groups: dict[str, list[Attempt]]) -> str:
    rows = []
    for name, attempts in groups.items():
        own = [attempt for attempt in attempts if attempt.outcome.counts]
        resolved = sum(attempt.resolved for attempt in own)
        mean = sum(attempt.seconds.total for attempt in own) / max(len(own), 1)
        numbers = (len(attempts), len(own), resolved, f"{resolved / len(own):.0%}" if own else "-", f"{mean:,.1f}")
        rows.append(
            f"<tr><td>{_said(name)}</td>{''.join(f'<td class=number>{number}</td>' for number in numbers)}</tr>"
        )
    heads = "".join(f"<th class=number>{head}</th>" for head in ("attempts", "judged", "resolved", "share", "mean s"))
    return f"<div class=wide><table><tr><th>repository</th>{heads}</tr>{''.join(rows)}</table></div>"


def page(
    folder: Path, attempts: Sequence[Attempt], *, controls: str = "", price: Price | None = None, room: int = _PAGE
) -> str:
    """The whole page. `folder` is the output folder, `controls` the line about this machine's controls, `room` how many
    characters of patches, logs and trajectories are in it."""
    total, groups = score(attempts), _by_repository(attempts)
    own = [attempt for attempt in attempts if attempt.outcome.counts]
    solved = [attempt for attempt in own if attempt.resolved]
    rows = [("all", f"{total.resolved}/{total.judged}", total.pass_at_1)]
    for name, members in groups.items():
        counted = [attempt for attempt in members if attempt.outcome.counts]
        good = sum(attempt.resolved for attempt in counted)
        rows.append((visible(name)[-30:], f"{good}/{len(counted)}", wilson(good, len(counted))))
    tokens = [a.usage.prompt_tokens - a.usage.cached_tokens + a.usage.completion_tokens for a in solved]
    mixed = [(str(outcome), count) for outcome in Outcome if (count := total.outcomes[outcome])]
    named = sorted({f"{attempt.agent} · {attempt.model}" for attempt in attempts})
    facts = [*summary(attempts, price=price), *([controls] if controls else [])]
    plots = [
        ("resolved, by repository", charts.intervals(rows)),
        ("outcomes", charts.mix(mixed)),
        ("resolved within tokens", charts.within([float(count) for count in tokens], len(own), "tokens an attempt")),
        ("resolved within seconds", charts.within([a.seconds.total for a in solved], len(own), "seconds an attempt")),
    ]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{_said(", ".join(named))}: {total.resolved} of {total.judged} resolved</title><style>{_STYLE}</style>
<h1>{_said(", ".join(named))}</h1>
<div class="score">{total.pass_at_1.value:.1%}</div>
<ul class="facts">{"".join(f"<li>{_said(fact)}</li>" for fact in facts)}</ul>
<div class="plots">{"".join(f"<section><h2>{name}</h2>{plot}</section>" for name, plot in plots)}</div>
<h2>repositories</h2>{_table(groups)}
<h2>attempts</h2>{"".join(_attempts(folder, attempts, room))}
</html>
"""


def main(argv: Sequence[str]) -> int:
    """`qcode-evals report`: write the page of a run again. Raises: ConfigError."""
    top = argparse.ArgumentParser(
        prog="qcode-evals report", description="Write report.html of a run, and say its score."
    )
    top.add_argument("results", type=Path, metavar="DIR", help="output folder of a run")
    args = top.parse_args(argv)
    attempts = read_attempts(args.results)
    with writing(args.results):
        (args.results / PAGE).write_text(page(args.results, attempts), encoding="utf-8")
    for line in [*summary(attempts), f"page: {args.results / PAGE}"]:
        print(visible(line))
    return 0
