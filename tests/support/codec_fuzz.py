"""Fuzzes the codec: answers made from a grammar and broken at random, read whole and in pieces, in both dialects.

`python -P tests/support/codec_fuzz.py --inputs 1000000` is `make fuzz`; what fails is printed with its seed, and with a
file of tests/codec/corpus it is tested for ever.
"""

import argparse
import faulthandler
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qcode.codec import (
    ArgumentFinished,
    ArgumentText,
    CallFinished,
    CallStarted,
    Dialect,
    Parsed,
    Problem,
    Recovered,
    Recovery,
    StreamParser,
    Text,
    ThinkingMode,
    ThinkingText,
    parse,
)

CORPUS = Path(__file__).parents[1] / "codec" / "corpus"
LONGEST = 6000
"""Characters of an input."""

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "string"}},
                "required": ["a"],
            },
        },
    },
    {"name": "g", "parameters": {"properties": {"a": {"type": ["array", "null"]}, "o": {"type": "object"}}}},
    {"name": "h"},
]

FRAGMENTS = [
    "<tool_call>", "</tool_call>", "<function=f>", "<function=g>", "<function=who>", "</function>", "<parameter=a>",
    "<parameter=b>", "<parameter=c>", "</parameter>", "<parameter>a>", '<function name="f">', "<function=f", "\n",
    "\n", "\n", "\r\n", " ", "x", "text ", "`", "``", "```", "\n```\n", "\n```json\n", "~~~", "<think>", "</think>",
    '{"name": "f", "arguments": {"a": "1"}}', '{"name": "f", "arguments": {', '"a": "', '"', "'", "{", "}", "[", "]",
    ",", ":", "\\", "\\u", "\\ud83d", "\\n", "<", "</", "<tool", "</para", "<function", ">", "é\U0001f600", "\0",
    "</tool_call", "</parameter", "<tool_response>", "True", "null", "1.5", "{'name': 'f'}", "<function=f/>", "</a>",
    "\u2028", "<|im_end|>", "line\n" * 50, "word " * 60,
]  # fmt: skip

DROPPING = {
    Recovery.STRAY_TEXT, Recovery.DUPLICATE_ARGUMENT, Recovery.FOREIGN_CLOSER, Recovery.DOUBLED_TAG,
    Recovery.BROKEN_JSON, Recovery.ARGUMENTS_FORM, Recovery.STRAY_CLOSER,
}  # fmt: skip
MARK = re.compile(r"w\d+w")


class Answers:
    """Makes answers, each from its own seed; words such as w17w mark the places of text that must not be lost."""

    def __init__(self, seed: int, corpus: list[str]) -> None:
        self.chance = random.Random(seed)
        self._corpus = corpus
        self._words = 0

    def one(self) -> str:
        text = "".join(self._part() for _ in range(self.chance.choice((1, 1, 2, 3))))
        for _ in range(self.chance.choice((0, 0, 1, 1, 2, 3, 6))):
            text = self._broken(text)
        return text[:LONGEST]

    def _word(self) -> str:
        self._words += 1
        return f"w{self._words}w"

    def _part(self) -> str:
        makers: tuple[Callable[[], str], ...] = (
            self._call, self._call, self._json_call, self._prose, self._fenced, self._thought, self._soup, self._sample,
        )  # fmt: skip
        return self.chance.choice(makers)()

    def _call(self) -> str:
        names = self.chance.sample(["a", "b", "c", "z"], self.chance.randint(0, 3))
        arguments = "".join(f"<parameter={name}>\n{self._value()}\n</parameter>\n" for name in names)
        function = f"<function={self.chance.choice('ffgghx')}>\n{arguments}</function>\n"
        return f"<tool_call>\n{function}</tool_call>\n"

    def _json_call(self) -> str:
        names = self.chance.sample(["a", "b", "c", "z"], self.chance.randint(0, 3))
        arguments = {name: self.chance.choice([self._value, lambda: 5, lambda: [self._word()]])() for name in names}
        call = json.dumps({"name": self.chance.choice("ffghx"), "arguments": arguments}, ensure_ascii=False)
        return f"<tool_call>\n{call}\n</tool_call>\n"

    def _value(self) -> str:
        parts = [self._word()]
        for _ in range(self.chance.choice((0, 1, 1, 2, 4))):
            choices = (self._word(), "\n", self.chance.choice(FRAGMENTS), "5", "[1, 2]")
            parts.append(self.chance.choice(choices))
        if self.chance.random() < 0.1:
            parts.append(self._call())
        self.chance.shuffle(parts)
        return "".join(parts)

    def _prose(self) -> str:
        return f"{self._word()} " + self.chance.choice(("is\n", "`it` ", "\n\n", "<b> ", "## ")) + self._word() + "\n"

    def _fenced(self) -> str:
        fence = self.chance.choice(("```", "~~~", "````"))
        return f"{fence}\n{self._part()}{fence}\n"

    def _thought(self) -> str:
        return f"<think>\n{self._word()}\n" + self.chance.choice(("", self._call())) + "</think>\n\n"

    def _soup(self) -> str:
        return "".join(self.chance.choice(FRAGMENTS) for _ in range(self.chance.randint(1, 12)))

    def _sample(self) -> str:
        return self.chance.choice(self._corpus) if self._corpus else ""

    def _broken(self, text: str) -> str:
        """`text` with one thing wrong in it; half of the time at a tag."""
        chance = self.chance
        tags = [match.span() for match in re.finditer(r"<[^<>\n]{1,30}>?|[{}\":,`]", text)]
        start, end = chance.choice(tags) if tags and chance.random() < 0.6 else (chance.randint(0, len(text)),) * 2
        match chance.randint(0, 7):
            case 0:
                return text[:start] + text[end:]
            case 1:
                return text[:end] + text[start:end] + text[end:]
            case 2:
                return text[:start] + chance.choice(FRAGMENTS) + text[end:]
            case 3:
                return text[:end] + chance.choice(FRAGMENTS) + text[end:]
            case 4:
                return text[: chance.randint(0, len(text))]
            case 5:
                return text[:start] + text[start + chance.randint(0, 8) :]
            case 6:
                return text.replace("\n", chance.choice(("\r\n", "", " ", "\n\n")), chance.choice((1, 2, -1)))
            case _:
                other = chance.randint(0, len(text))
                return text[: min(start, other)] + text[max(start, other) :]


def pieces(text: str, chance: random.Random) -> list[str]:
    """`text` cut at random: single characters, words, or anything between."""
    sizes = chance.choice(((1,), (1, 2, 3), (1, 4, 9, 30), (50, 200)))
    found = []
    at = 0
    while at < len(text):
        size = chance.choice(sizes)
        found.append(text[at : at + size])
        at += size
    return found


def check(text: str, chance: random.Random, *, dialect: Dialect, thinking: ThinkingMode) -> Parsed:
    """Everything that holds for every answer. Raises: AssertionError."""
    whole = parse(text, TOOLS, dialect=dialect, thinking=thinking)
    parser = StreamParser(TOOLS, dialect=dialect, thinking=thinking)
    events = []
    for piece in pieces(text, chance):
        events += parser.feed(piece)
    events += parser.finish()
    result = parser.result()
    assert result == whole, "the pieces give another result than the whole"
    assert "".join(event.text for event in events if isinstance(event, Text)) == whole.content
    assert "".join(event.text for event in events if isinstance(event, ThinkingText)) == whole.thinking
    assert [event.call for event in events if isinstance(event, CallFinished)] == list(whole.tool_calls)
    assert [event for event in events if isinstance(event, Problem)] == list(whole.problems)
    assert [event.kind for event in events if isinstance(event, Recovered)] == list(whole.recoveries)
    assert [event.index for event in events if isinstance(event, CallStarted)] == list(
        range(sum(isinstance(event, CallStarted) for event in events))
    )
    check_arguments(events, repaired=bool(whole.recoveries or whole.problems))
    written = json.dumps([call.arguments for call in whole.tool_calls], ensure_ascii=False, allow_nan=False)
    written.encode()
    size = len(whole.content) + len(whole.thinking) + sum(len(str(call.arguments)) for call in whole.tool_calls)
    assert size <= 2 * len(text) + 100 * text.count("<") + 100 * text.count("{") + 100, (
        "the result is larger than the answer"
    )
    assert sum(len(event.text) for event in events if isinstance(event, ArgumentText)) <= 2 * len(text)
    if not whole.tool_calls and not whole.truncated and thinking is ThinkingMode.TEXT and "<|" not in text:
        assert whole.content == text, "an answer without calls is not its text"
    if not whole.truncated and not DROPPING & set(whole.recoveries):
        lost = set(MARK.findall(text)) - set(MARK.findall(f"{whole.content} {whole.thinking} {written}"))
        assert not lost, f"lost: {lost}"
    return whole


def check_arguments(events: list[Any], *, repaired: bool) -> None:
    """What was shown of a string is the string, each finished argument is the call's, and no event comes too late."""
    shown: dict[tuple[int, str], str] = {}
    told: dict[tuple[int, str], Any] = {}
    for event in events:
        match event:
            case ArgumentText(index, argument, text):
                assert text
                shown[index, argument] = shown.get((index, argument), "") + text
            case ArgumentFinished(index, argument, value):
                if (
                    isinstance(value, str)
                    and not repaired
                    and (index, argument) not in told
                    and (index, argument) in shown
                ):
                    assert value in (shown[index, argument], rewritten(shown[index, argument])), "shown is another text"
                told[index, argument] = value
            case CallFinished(index, call) if not repaired:
                for argument, value in call.arguments.items():
                    assert told.get((index, argument)) == value, f"{argument} was not told as it is"


def rewritten(text: str) -> str:
    """JSON as the codec writes it where a string was declared and the model gave something else."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text


def corpus() -> list[str]:
    """The answers of tests/codec/corpus, without line endings translated."""
    return [path.read_bytes().decode() for path in sorted(CORPUS.glob("*.txt"))]


def run(seeds: range, samples: list[str], report: Callable[[int, Parsed], None]) -> int:
    """Check the answer of every seed; the number of failures, each of them printed."""
    failures = 0
    for seed in seeds:
        answers = Answers(seed, samples)
        text = answers.one()
        dialect = Dialect.HERMES if seed % 2 else Dialect.QWEN3_CODER
        thinking = (ThinkingMode.TEXT, ThinkingMode.IN_TAGS, ThinkingMode.BEGUN)[seed // 2 % 3]
        if seed % 1000 == 0:
            faulthandler.dump_traceback_later(600, exit=True)
        try:
            report(seed, check(text, answers.chance, dialect=dialect, thinking=thinking))
        except Exception as error:
            failures += 1
            print(f"seed {seed} {dialect} {thinking}: {type(error).__name__}: {str(error)[:200]}\n  {text!r}"[:2000])
            if failures > 20:
                break
    faulthandler.cancel_dump_traceback_later()
    return failures


def main() -> int:
    """The exit code: 1 where something failed."""
    parser = argparse.ArgumentParser(description="Fuzz the codec.")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    options = parser.parse_args()
    seen: Counter[str] = Counter()

    def report(seed: int, parsed: Parsed) -> None:
        seen["calls"] += len(parsed.tool_calls)
        seen["truncated"] += parsed.truncated
        seen["with problems"] += bool(parsed.problems)
        seen["with recoveries"] += bool(parsed.recoveries)
        if seed % 100_000 == 99_999:
            print(f"{seed + 1 - options.seed} inputs, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)

    began = time.perf_counter()
    failures = run(range(options.seed, options.seed + options.inputs), corpus(), report)
    print(f"{options.inputs} inputs in {time.perf_counter() - began:.0f} s, {failures} failures; {dict(seen)}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
