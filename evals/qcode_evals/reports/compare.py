"""`qcode-evals compare`: two runs over the same tasks, task by task."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from qcode.errors import ConfigError
from qcode.ui.sanitize import visible
from qcode_evals.attempt import Attempt
from qcode_evals.reports.scoring import Score, about, mixed, score
from qcode_evals.running.results import ATTEMPTS
from qcode_evals.statistics import paired

_NAMED = 12


def read_attempts(folder: Path) -> list[Attempt]:
    """Attempts of a run's output folder, the last line of each counting. Raises: ConfigError."""
    try:
        lines = (folder / ATTEMPTS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{folder} holds no results of qcode-evals: {error.strerror}") from None
    attempts: dict[tuple[int, str], Attempt] = {}
    for line in lines:
        try:
            attempt = Attempt.model_validate_json(line)
        except ValidationError:
            continue
        attempts[attempt.repeat, attempt.instance_id] = attempt
    if not attempts:
        raise ConfigError(f"{folder} holds no finished attempt")
    return list(attempts.values())


def _first(run: Score) -> dict[str, bool]:
    return {name: results[0] for name, results in run.tries.items()}


def compared(first: Sequence[Attempt], second: Sequence[Attempt]) -> list[str]:
    """What can be said of two runs, in lines. Of several attempts at a task, the first is compared."""
    one, two = score(first), score(second)
    first_of, second_of = _first(one), _first(two)
    pair = paired(first_of, second_of)
    gained = sorted(name for name in first_of.keys() & second_of.keys() if second_of[name] > first_of[name])
    lost = sorted(name for name in first_of.keys() & second_of.keys() if second_of[name] < first_of[name])
    lines = [f"{name}: {run.pass_at_1}, {run.judged} attempts" for name, run in (("A", one), ("B", two))]
    lines += [f"{name}: {said}" for name, run in (("A", first), ("B", second)) if (said := mixed(run))]
    lines.append(
        f"on the {pair.tasks} tasks of both: A alone {pair.only_first}, B alone {pair.only_second}, both {pair.both}, "
        f"neither {pair.neither}"
    )
    difference = pair.difference
    lines.append(
        f"B - A: {difference.value * 100:+.1f} points (95 % interval {difference.low * 100:+.1f} to "
        f"{difference.high * 100:+.1f}); McNemar's exact p = {pair.p_value:.3f}: "
        + ("a difference" if pair.p_value < 0.05 else "no difference is shown")
    )
    for said, names in (("only B", gained), ("only A", lost)):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"{said}: {', '.join(names[:_NAMED])}{more}")
    for name, run in (("A", one), ("B", two)):
        read = run.usage.prompt_tokens - run.usage.cached_tokens
        lines.append(
            f"{name}: {about(run.usage)}{read + run.usage.completion_tokens:,} tokens read or written, "
            f"{run.seconds.get('agent', 0.0):,.1f} s of the agent"
        )
    return lines


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="qcode-evals compare",
        description="Say whether run B resolves more than run A: paired by task, with an interval and an exact test.",
    )
    top.add_argument("first", type=Path, metavar="A", help="output folder of a run")
    top.add_argument("second", type=Path, metavar="B", help="output folder of another run over the same tasks")
    return top


def main(argv: Sequence[str]) -> int:
    """Print the comparison. Raises: ConfigError."""
    args = parser().parse_args(argv)
    first, second = read_attempts(args.first), read_attempts(args.second)
    if not {attempt.instance_id for attempt in first} & {attempt.instance_id for attempt in second}:
        raise ConfigError(f"{args.first} and {args.second} have no task in common")
    for line in compared(first, second):
        print(visible(line))
    return 0
