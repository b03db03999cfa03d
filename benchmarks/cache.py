"""How long the first request is in tokens, and how much of each prompt the in-process engine has in its cache."""

import asyncio
import statistics
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from qcode.agent.profile import PROFILES
from qcode.backends.llama.backend import LlamaBackend
from qcode.backends.llama.settings import EngineConfig
from qcode.messages import Assistant, Message, Tool, ToolCall, User
from qcode.model import Request, Sampling
from qcode.models.store import resolve
from qcode_tools.result import Status, ToolResult
from qcode_tools.toolsets import build_toolset

MODEL = "qwen2.5-coder-1.5b"
STEPS = 50


async def measure() -> list[str]:
    rows = ["| the prompt (Qwen tokens, " + MODEL + ") | | |", "| --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        for name in PROFILES:
            backend = engine(Path(folder))
            tokens = await backend.count_tokens(request(name, [User(text="Fix the bug.")]))
            rows.append(f"| first request, tool set `{name}`, all tools | {tokens} | target: under 2,000 |")
            await backend.aclose()
        shares = await reuse(Path(folder))
        rows.append(
            f"| earlier prompt reused, {STEPS} steps of `echo hi`: least of all steps | {100 * min(shares):.2f}% "
            f"| target: 99% |"
        )
        rows.append(f"| the same, median | {100 * statistics.median(shares):.2f}% | |")
        for run in ("first session ever", "a new process, another folder"):
            seconds, cached, total = await first_token(Path(folder))
            rows.append(f"| first token of a session, {run} | {seconds:.1f} s | {cached} of {total} tokens cached |")
    return rows


def engine(folder: Path, *, keep: bool = False) -> LlamaBackend:
    config = EngineConfig(
        model_path=resolve(MODEL).path,
        log_path=folder / "engine.log",
        context=16_384,
        prefix_cache_dir=folder / "prefixes" if keep else None,
    )
    return LlamaBackend(config, name=MODEL)


def request(name: str, history: list[Message], *, tokens: int = 1) -> Request:
    return Request(
        system=PROFILES[name].system,
        history=tuple(history),
        tools=build_toolset(name).specs,
        sampling=Sampling(max_tokens=tokens, temperature=0.0),
    )


async def reuse(folder: Path) -> list[float]:
    """For each step, the part of the prompt before it that was not evaluated again."""
    backend = engine(folder)
    history: list[Message] = [User(text="Say hi often.")]
    before, shares = 0, []
    for step in range(STEPS):
        usage = (await ask(backend, request("swe", history))).usage
        if before:
            shares.append(min(usage.cached_tokens / before, 1.0))
        before = usage.prompt_tokens
        call = ToolCall(id=f"c{step}", name="bash", arguments={"command": f"echo hi {step}"})
        result = ToolResult(call_id=call.id, name="bash", status=Status.OK, content=f"hi {step}")
        history += [Assistant(text="I say hi.", tool_calls=(call,)), Tool(result=result)]
    await backend.aclose()
    return shares


async def first_token(folder: Path) -> tuple[float, int, int]:
    backend = engine(folder, keep=True)
    backend.start()
    await asyncio.sleep(5)
    started = time.monotonic()
    usage = (await ask(backend, request("swe", [User(text="Fix the bug in code.py.")]))).usage
    seconds = time.monotonic() - started
    await backend.aclose()
    return seconds, usage.cached_tokens, usage.prompt_tokens


async def ask(backend: LlamaBackend, asked: Request) -> Assistant:
    async with aclosing(backend.stream(asked)) as stream:
        async for item in stream:
            if isinstance(item, Assistant):
                return item
    raise RuntimeError("no answer")
