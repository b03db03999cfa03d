"""`qcode-evals table`: several runs side by side, a row each: resolved with its interval, tokens, seconds."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from qcode.ui.sanitize import visible
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.reports.compare import read_attempts
from qcode_evals.reports.scoring import about, mixed, score

HEAD = (
    "| run | attempts | resolved | 95 % interval | tokens read, an attempt | cached | written | requests | "
    "seconds of the agent, median | mean |"
)
_RULE = "|" + " --- |" * (HEAD.count("|") - 1)


def row(name: str, attempts: Sequence[Attempt], *, expected: int | None = None) -> str:
    """One run. Means are over the attempts that count; `expected` is how many there will be when it is finished."""
    total = score(attempts)
    own = [attempt for attempt in attempts if attempt.outcome.counts]
    spoilt = total.attempts - total.judged
    made = f"{total.judged}" + (f" of {expected}" if expected not in {None, total.judged} else "")
    made += " (not one run)" if mixed(attempts) else ""
    made += f" (and {spoilt} {_spoilt(total.outcomes)})" if spoilt else ""
    if not own:
        return f"| {name} | {made} |" + " - |" * (HEAD.count("|") - 3)
    share, usage = total.pass_at_1, score(own).usage
    agents = [attempt.seconds.agent for attempt in own]
    read, each = usage.prompt_tokens - usage.cached_tokens, 1 / len(own)
    cells = (
        name, made, f"{total.resolved}: {share.value:.1%}", f"{share.low:.1%} to {share.high:.1%}",
        f"{about(usage)}{read * each:,.0f}", f"{usage.cached_tokens * each:,.0f}",
        f"{usage.completion_tokens * each:,.0f}", f"{usage.requests * each:.1f}", f"{median(agents):.1f}",
        f"{fmean(agents):.1f}",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _spoilt(outcomes: dict[Outcome, int]) -> str:
    return ", ".join(str(outcome) for outcome, count in outcomes.items() if count and not outcome.counts)


def table(rows: Sequence[str]) -> list[str]:
    """Rows with their head, as Markdown."""
    return [HEAD, _RULE, *rows]


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(prog="qcode-evals table", description=(__doc__ or "").split(": ", 1)[1].capitalize())
    top.add_argument("results", type=Path, nargs="+", metavar="DIR", help="output folder of a run")
    return top


def main(argv: Sequence[str]) -> int:
    """Print the table. Raises: ConfigError."""
    for line in table([row(path.name, read_attempts(path)) for path in parser().parse_args(argv).results]):
        print(visible(line))
    return 0
