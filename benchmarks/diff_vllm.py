"""`make diff-vllm`: the codec against vLLM's own qwen3_coder parser on the same texts, written into docs/diff-vllm.md.

Each text is read by both, whole and streamed (token by token by vLLM; the same pieces by ours), and compared with what
the format's rules read in it. Text is compared without the white space at its ends, which vLLM cuts off when it reads
a whole answer. Exits with 1 where an answer is read differently without a reason that is named, where a reason is named
without need, or where ours is not what the rules say.

python benchmarks/diff_vllm.py [--each N] [--seed N]
"""

import argparse
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vllm_env
from answers import TOOLS, WELL_FORMED, Answer, Kind
from malformed import MALFORMED

from qcode.codec import Parsed, StreamParser, parse

PAGE = Path(__file__).resolve().parent.parent / "docs" / "diff-vllm.md"
BEGIN, END = "<!-- diff-vllm: begin -->", "<!-- diff-vllm: end -->"

Reading = tuple[str, str]
"""Calls as JSON, and the text."""


@dataclass(slots=True)
class Score:
    """How often each reader was right, in one kind."""

    kind: Kind
    cases: int = 0
    ours: int = 0
    whole: int = 0
    streamed: int = 0
    agree: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def note(self, expected: Reading, ours: list[Reading], whole: Reading, streamed: Reading) -> None:
        self.cases += 1
        self.ours += all(reading == expected for reading in ours)
        self.whole += whole == expected
        self.streamed += streamed == expected
        self.agree += all(reading == ours[0] for reading in (*ours, whole, streamed))
        for name, reading in (("whole", whole), ("streamed", streamed)):
            if reading != expected:
                self.seen[f"{name} {_difference(expected, reading)}"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=40, help="answers of each well-formed kind; a third of the others")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    cases = corpus(options.each, options.seed)
    theirs = vllm_env.ask("parse", {"tools": TOOLS, "texts": [answer.text for _, answer in cases]})
    scores = [Score(kind) for kind in (*WELL_FORMED, *MALFORMED)]
    by_kind = {id(score.kind): score for score in scores}
    for (kind, answer), found in zip(cases, theirs, strict=True):
        by_kind[id(kind)].note(
            reading(answer.calls, answer.content),
            ours(answer, found["pieces"]),
            read(found["whole"]),
            read(found["streamed"]),
        )
    write(scores, options)
    return judged(scores)


def corpus(each: int, seed: int) -> list[tuple[Kind, Answer]]:
    chance = random.Random(seed)
    well = [(kind, kind.make(chance)) for kind in WELL_FORMED for _ in range(each)]
    return well + [(kind, kind.make(chance)) for kind in MALFORMED for _ in range(max(1, each // 3))]


def ours(answer: Answer, pieces: list[str]) -> list[Reading]:
    """Whole, in vLLM's pieces, and character by character."""
    readings = [of(parse(answer.text, TOOLS))]
    for cut in (pieces, list(answer.text)):
        parser = StreamParser(TOOLS)
        for piece in cut:
            parser.feed(piece)
        parser.finish()
        readings.append(of(parser.result()))
    return readings


def of(parsed: Parsed) -> Reading:
    return reading(((call.name, call.arguments) for call in parsed.tool_calls), parsed.content)


def read(found: dict[str, Any]) -> Reading:
    """What vLLM's parser gave, where it gave JSON."""
    if "error" in found:
        return found["error"], ""
    try:
        calls = [(name, json.loads(arguments or "{}")) for name, arguments in found["calls"]]
    except json.JSONDecodeError:
        return "arguments that are no JSON", found["content"].strip()
    return reading(calls, found["content"])


def reading(calls: Any, content: str) -> Reading:
    return json.dumps([[name, arguments] for name, arguments in calls], ensure_ascii=False), content.strip()


def _difference(expected: Reading, found: Reading) -> str:
    try:
        calls, wanted = json.loads(found[0]), json.loads(expected[0])
    except json.JSONDecodeError:
        return found[0][:60]
    if len(calls) != len(wanted):
        return f"{len(calls)} calls for {len(wanted)}"
    if [name for name, _ in calls] != [name for name, _ in wanted]:
        return "another tool"
    if [set(given) for _, given in calls] != [set(given) for _, given in wanted]:
        return "other arguments"
    return "another value" if calls != wanted else "other text"


def judged(scores: list[Score]) -> int:
    wrong = [f"{score.kind.name}: ours is not what the rules say" for score in scores if score.ours < score.cases]
    for score in scores:
        if score.agree < score.cases and not score.kind.why:
            wrong.append(f"{score.kind.name}: read differently, and no reason is named: {dict(score.seen)}")
        if score.kind.why and score.agree == score.cases:
            wrong.append(f"{score.kind.name}: a reason is named and nothing is read differently")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def write(scores: list[Score], options: argparse.Namespace) -> None:
    lines = [
        f"`make diff-vllm` (`--each {options.each} --seed {options.seed}`), vLLM 0.32.0.",
        *table("Well-formed answers", [score for score in scores if score.kind.well_formed]),
        *table("Malformed answers", [score for score in scores if not score.kind.well_formed]),
    ]
    text = "\n".join(lines)
    print(text)
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def table(title: str, scores: list[Score]) -> list[str]:
    total = sum(score.cases for score in scores)
    sums = [sum(getattr(score, name) for score in scores) for name in ("agree", "ours", "whole", "streamed")]
    return [
        "",
        f"### {title}",
        "",
        "| kind | rule | answers | agree | qcode right | vLLM right, whole | streamed | what vLLM reads, and why not |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(row, scores),
        "| **all** | | {} | {} | {} | {} | {} | |".format(total, *sums),
    ]


def row(score: Score) -> str:
    seen = ", ".join(what for what, _ in score.seen.most_common(3))
    why = f"{seen}; {score.kind.why}" if score.kind.why and seen else seen
    name = score.kind.name.replace("|", "\\|").replace("<", "&lt;")
    figures = f"{score.cases} | {score.agree} | {score.ours} | {score.whole} | {score.streamed}"
    return f"| {name} | {score.kind.rule} | {figures} | {why} |"


if __name__ == "__main__":
    sys.exit(main())
