"""What the codec costs: beside vLLM's streaming parser on the same token pieces, on whole texts, by a value's length.

python benchmarks/codec.py
"""

import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable

import vllm_env
from answers import LINES, TOOLS, prose, whole

from qcode.codec import StreamParser, parse

ROUNDS = 9
ROUND_S = 0.02
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def call(size: int) -> str:
    """An answer that writes a file of about `size` characters."""
    chance = random.Random(size)
    lines: list[str] = []
    length = 0
    while length < size:
        lines.append(chance.choice(LINES))
        length += len(lines[-1]) + 1
    text = "\n".join(lines)[:size].rstrip("\n<") + "."
    return f"{prose(chance)}\n\n{whole(('write_file', {'path': 'src/a.py', 'content': text}))}"


ANSWERS = {
    "a command (100 characters)": "I run the tests.\n\n"
    + whole(("bash", {"command": "pytest -q tests/test_average.py"})),
    "an edit (1 kB)": call(1_000),
    "a file (8 kB)": call(8_000),
    "prose (1 kB)": " ".join(prose(random.Random(n)) for n in range(25)),
}


async def measure() -> list[str]:
    return [*against_vllm(), "", *whole_texts(), "", *by_length()]


def against_vllm() -> list[str]:
    head = ["| the codec, token by token | qcode, a piece | vLLM 0.32, a piece | |", "| --- | --- | --- | --- |"]
    if not vllm_env.is_there():
        return [*head, "| not measured: `make vllm-env` first | | | |"]
    theirs = vllm_env.ask("time", {"tools": TOOLS, "texts": list(ANSWERS.values()), "rounds": 5})
    for name, found in zip(ANSWERS, theirs, strict=True):
        pieces = found["pieces"]
        ours = median(lambda pieces=pieces: feed(pieces)) / len(pieces)
        other = found["streamed_s"] / len(pieces)
        head.append(
            f"| {name}, {len(pieces)} pieces | {ours * 1e6:.1f} us | {other * 1e6:.1f} us "
            f"| {other / ours:.1f} times as fast (target: 5) |"
        )
    return head


def whole_texts() -> list[str]:
    lines = ["| the codec, whole texts | time | speed |", "| --- | --- | --- |"]
    for size in SIZES[1:]:
        text = call(size)
        seconds = median(lambda text=text: parse(text, TOOLS))
        speed = len(text.encode()) / seconds / 1e6
        lines.append(f"| a call of {size // 1000} kB | {seconds * 1e3:.2f} ms | {speed:.0f} MB/s (target: 50) |")
    return lines


def by_length() -> list[str]:
    lines = ["| the codec, character by character | a character | |", "| --- | --- | --- |"]
    first = 0.0
    for size in SIZES:
        text = call(size)
        cost = median(lambda text=text: feed(text), rounds=3 if size > 100_000 else ROUNDS) / len(text)
        first = first or cost
        lines.append(f"| a value of {size // 1000} kB | {cost * 1e6:.2f} us | {cost / first:.2f} times the first |")
    return lines


def feed(pieces: list[str] | str) -> None:
    parser = StreamParser(TOOLS)
    for piece in pieces:
        parser.feed(piece)
    parser.finish()
    if len(parser.result().tool_calls) > 1:
        raise RuntimeError("the answer has one call at most")


def median(run: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    """Seconds of processor time, which other processes' work disturbs least; a short run many times in a round."""
    started = time.process_time()
    run()
    times = 1 + int(ROUND_S / max(time.process_time() - started, 1e-6))
    found = []
    for _ in range(rounds):
        gc.collect()
        started = time.process_time()
        for _ in range(times):
            run()
        found.append((time.process_time() - started) / times)
    return statistics.median(found)


if __name__ == "__main__":
    sys.stdout.write("\n".join(asyncio.run(measure())) + "\n")
