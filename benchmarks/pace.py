"""What holding an in-process model to the form of a call costs per token.

    python benchmarks/pace.py [MODEL] [BUGS]

The same requests at temperature 0, free and constrained, each in an engine of its own: a function to write anew as a
call, and prose. Time per token after the first. With guesses from the prompt, what is copied comes faster in both, and
how much of it is copied depends on the text; without them a token costs the same whatever it says.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bugs import BUGS

from qcode.agent.profile import PROFILES
from qcode.backends.llama.backend import LlamaBackend
from qcode.backends.llama.settings import EngineConfig
from qcode.deltas import TextDelta, ToolCallDelta
from qcode.messages import Assistant, User
from qcode.model import Backend, Request, Sampling
from qcode.models.store import resolve
from qcode_tools.toolsets import build_toolset

PROSE = "Explain in about 120 words, without code and without a tool, how a hash table handles collisions."
ROUNDS = 2


async def main(name: str, count: int) -> None:
    tasks = [f"{bug.task}\n\n{bug.name}.py:\n```python\n{bug.code}```\n\nCall rewrite with it." for bug in BUGS[:count]]
    request = Request(
        system=PROFILES["small"].system,
        history=(),
        tools=build_toolset("small").specs,
        sampling=Sampling(temperature=0.0, max_tokens=250),
    )
    cases = [*(("call", task, "required") for task in tasks), ("prose", PROSE, "auto")]
    paces: dict[tuple[str, str, bool], list[tuple[float, str]]] = {}
    for _ in range(ROUNDS):
        for guesses in ("off", "ngram"):
            for constrain in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    config = EngineConfig(
                        resolve(name).path, Path(folder) / "engine.log", context=8192, speculation=guesses
                    )
                    backend = LlamaBackend(config, name=name, constrain=constrain)
                    for kind, words, choice in cases:
                        asked = replace(request, history=(User(text=words),), tool_choice=choice)
                        pace, tokens, text = await timed(backend, asked)
                        paces.setdefault((kind, guesses, constrain), []).append((pace, text))
                        held = "constrained" if constrain else "free"
                        print(
                            f"{kind}, guesses {guesses}, {held}: {tokens} tokens, {1000 * pace:.1f} ms each",
                            file=sys.stderr,
                        )
                    await backend.aclose()
    print("| time per token, median | free | constrained | |\n| --- | --- | --- | --- |")
    for kind, guesses in (("call", "off"), ("call", "ngram"), ("prose", "off"), ("prose", "ngram")):
        pairs = list(zip(paces[kind, guesses, False], paces[kind, guesses, True], strict=True))
        same = sum(free[1] == held[1] for free, held in pairs)
        free, held = (statistics.median(each[0] for each in paces[kind, guesses, way]) for way in (False, True))
        shown = f"{kind}, guesses {guesses}, {same} of {len(pairs)} word for word the same"
        print(f"| {shown} | {1000 * free:.1f} ms | {1000 * held:.1f} ms | {100 * (held / free - 1):+.1f} % |")


async def timed(backend: Backend, request: Request) -> tuple[float, int, str]:
    """Seconds per token after the first, the tokens, and what was written."""
    first, answer, parts = 0.0, Assistant(), []
    async for item in backend.stream(request):
        match item:
            case TextDelta(text=text) | ToolCallDelta(text=text):
                first = first or time.perf_counter()
                parts.append(text)
            case Assistant():
                answer = item
    tokens = answer.usage.completion_tokens
    return (time.perf_counter() - first) / max(1, tokens - 1), tokens, "".join(parts)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b", int((sys.argv[2:] or ["4"])[0])))
