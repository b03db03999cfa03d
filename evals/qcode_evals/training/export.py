"""`qcode-evals export`: trajectories of a run as training data, with rewards, and pairs of attempts at one task.

The formats are those of qcode.session.transcript. Each trajectory is rendered by Qwen3-Coder's chat template and read
back; one that does not come out as it went in is left out. With a model's tokenizer, by the model's own template, and
through its tokens.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qcode.codec import parse, render
from qcode.errors import ConfigError
from qcode.messages import Assistant
from qcode.session.log import SessionError, read_log
from qcode.session.transcript import FORMATS, Transcript, transcript
from qcode.ui.sanitize import visible
from qcode_evals.attempt import Attempt
from qcode_evals.reports.compare import read_attempts
from qcode_evals.training.tokenizing import ModelText, Tokens, spelled

_ENDS = "<|im_end|>"
_CHANGED = "do not come out of the chat template as they went in"
Form = Callable[[Transcript], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One attempt as a conversation; `tokens` where a tokenizer has counted them."""

    attempt: Attempt
    said: Transcript
    tokens: Tokens | None = None

    @property
    def reward(self) -> float:
        """1 where the hidden tests passed, else 0."""
        return float(self.attempt.resolved)

    def row(self, form: Form) -> dict[str, Any]:
        """The line of it."""
        counts = {"tokens": self.tokens.all, "loss_tokens": self.tokens.learned} if self.tokens else {}
        about = {"instance_id": self.attempt.instance_id, "repeat": self.attempt.repeat, "reward": self.reward}
        return {**about, **counts, **form(self.said)}


def trajectory(
    folder: Path, attempt: Attempt, *, repaired: bool = False, model: ModelText | None = None
) -> Trajectory | str:
    """The conversation of an attempt, or why there is none to learn from."""
    if not attempt.outcome.counts:
        return "failed for reasons of infrastructure, or are no task"
    if not attempt.trajectory or attempt.agent != "qcode":
        return "have no session of qcode's"
    try:
        said = transcript(read_log(folder / attempt.trajectory))
    except (SessionError, OSError):
        return "have a log that cannot be read"
    if said is None:
        return "have a log without a beginning"
    if not any(isinstance(message, Assistant) for message in said.history):
        return "have no answer of the model"
    said = replace(said, repaired=repaired)
    if model is None:
        return Trajectory(attempt, said) if _comes_back(said) else _CHANGED
    tokens = model.tokens(said)
    return f"{_CHANGED}: {tokens}" if isinstance(tokens, str) else Trajectory(attempt, said, tokens)


def _comes_back(said: Transcript) -> bool:
    """Whether every answer, written by the template and read by the codec, has the calls that it had."""
    for place, message in enumerate(said.history):
        if isinstance(message, Assistant):
            head = render(said.system, said.history[:place], said.tools)
            whole = render(said.system, said.history[: place + 1], said.tools, generation_prompt=False)
            if not whole.startswith(head):
                return False
            read = parse(whole[len(head) :].rpartition(_ENDS)[0], said.tools)
            if [spelled(call.name, call.arguments) for call in read.tool_calls] != [
                spelled(call.name, call.arguments) for call in message.tool_calls
            ]:
                return False
    return True


def pairs(found: Sequence[Trajectory], form: Form) -> Iterator[dict[str, Any]]:
    """For each task that was resolved and missed: the shortest accepted attempt, with each rejected one."""
    by_task: dict[str, list[Trajectory]] = {}
    for one in found:
        by_task.setdefault(one.attempt.instance_id, []).append(one)
    for name, tries in by_task.items():
        accepted = sorted((one for one in tries if one.reward), key=lambda one: one.attempt.usage.completion_tokens)
        for rejected in (one for one in tries if accepted and not one.reward):
            chosen, other = form(accepted[0].said), form(rejected.said)
            key = "conversations" if "conversations" in chosen else "messages"
            yield {"instance_id": name, **chosen, f"rejected_{key}": other[key]}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="qcode-evals export", description=(__doc__ or "").split(": ", 1)[1].split("\n")[0]
    )
    top.add_argument("results", type=Path, metavar="DIR", help="output folder of a run of --agent qcode")
    top.add_argument("--format", choices=list(FORMATS), default="openai", help="(default: openai)")
    top.add_argument("--out", type=Path, required=True, metavar="FILE", help="one JSON object a line")
    top.add_argument("--resolved", action="store_true", help="only attempts that resolved their task")
    top.add_argument("--pairs", action="store_true", help="accepted and rejected attempts at one task (see --repeat)")
    top.add_argument(
        "--repaired", action="store_true",
        help="learn also from answers whose form had to be put right, as they stand after it",
    )  # fmt: skip
    top.add_argument(
        "--tokenizer", type=Path, metavar="DIR",
        help="a model's folder: render by its chat template, read back through its tokens, and count them",
    )  # fmt: skip
    return top


def main(argv: Sequence[str]) -> int:
    """Export. Raises: ConfigError."""
    args = parser().parse_args(argv)
    if args.pairs and args.resolved:
        raise ConfigError("--pairs needs attempts that were not resolved too: leave --resolved out")
    model = ModelText(args.tokenizer) if args.tokenizer is not None else None
    dropped: Counter[str] = Counter()
    found: list[Trajectory] = []
    for attempt in read_attempts(args.results):
        one = trajectory(args.results, attempt, repaired=args.repaired, model=model)
        if isinstance(one, str):
            dropped[one] += 1
        elif args.resolved and not one.reward:
            dropped["did not resolve their task"] += 1
        else:
            found.append(one)
    form = FORMATS[args.format]
    lines = list(pairs(found, form)) if args.pairs else [one.row(form) for one in found]
    if lines:
        try:
            args.out.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {args.out}: {error.strerror}") from None
    for line in _told(args, lines, found, dropped):
        print(visible(line))
    return 0 if lines else 1


def _told(
    args: argparse.Namespace, lines: Sequence[object], found: Sequence[Trajectory], dropped: Counter[str]
) -> Iterator[str]:
    """What was written, how much of it is learned, and what was not."""
    left = "; left out: " * bool(dropped) + ", ".join(f"{count} that {why}" for why, count in dropped.most_common())
    kind = "pairs" if args.pairs else "trajectories"
    yield f"{len(lines)} {kind} in {args.out}{left}" if lines else f"no {kind}: nothing is written{left}"
    if args.pairs and not lines:
        yield "a pair needs one attempt that resolved its task, and one that did not (--repeat)"
    answers = [(one.said, place) for one in found for place in range(len(one.said.history))]
    made = [(said, place) for said, place in answers if isinstance(said.history[place], Assistant)]
    learned = sum(said.learned(place) for said, place in made)
    repaired = sum(replace(said, repaired=True).learned(place) for said, place in made) - learned
    if lines and not args.pairs:
        more = f"; {repaired} more had to be repaired (--repaired)" if repaired else ""
        yield f"{learned} of {len(made)} answers are learned from{more}"
        if args.tokenizer is not None:
            counts = [one.tokens for one in found if one.tokens is not None]
            yield f"{sum(c.all for c in counts):,} tokens, {sum(c.learned for c in counts):,} of them with a loss"
