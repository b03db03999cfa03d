"""The in-process engine with a real model: a lost call is stopped, counted, and its prompt is not read twice."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from qcode.agent.precheck import Precheck
from qcode.backends.llama.backend import LlamaBackend
from qcode.backends.llama.settings import EngineConfig
from qcode.codec import render
from qcode.deltas import PrefillProgress
from qcode.messages import Assistant, Stop, Tool, User
from qcode.model import Delta, Request, Sampling
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.specs import HostSpec, Source
from qcode_tools.result import Status, ToolResult
from qcode_tools.toolsets import build_toolset

pytestmark = pytest.mark.model

SYSTEM = "You are a programmer. You change files by calling functions."
TASK = "In gone.py, replace the function add by one that adds three numbers."
CALM = Sampling(temperature=0.0, max_tokens=300, seed=1)
SHORT = CALM.model_copy(update={"max_tokens": 8})


@pytest.fixture
async def backend(small_model: Path, tmp_path: Path) -> AsyncIterator[LlamaBackend]:
    config = EngineConfig(model_path=small_model, log_path=tmp_path / "engine.log", context=4096, batch=32)
    backend = LlamaBackend(config, name="small")
    yield backend
    await backend.aclose()


async def test_a_call_that_is_lost_is_stopped_counted_and_kept_in_the_cache(
    backend: LlamaBackend, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "calc.py").write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    toolset = build_toolset("small")
    tools = tuple(spec for spec in toolset.specs if spec.name == "str_replace")
    request = Request(
        SYSTEM, (User(text=TASK),), tools, CALM, "required", choices={"str_replace": {"path": ("gone.py",)}}
    )
    whole = await answer(backend, request)
    assert set(whole.tool_calls[0].arguments) == {"path", "old_str", "new_str"}

    async with open_sandbox(HostSpec(source=Source(tmp_path / "tree", ("calc.py",)))) as sandbox:

        async def there() -> Sandbox:
            return sandbox

        precheck = Precheck(toolset, there)
        async with precheck:
            cut = await answer(backend, replace(request, stopped=precheck.over), precheck)
    cut, foreseen = precheck.settle(cut)
    (call,) = cut.tool_calls
    assert call.arguments == {"path": "gone.py"}
    assert (cut.stop, cut.problems, cut.usage.stopped_calls) == (Stop.CANCELLED, (), 1)
    assert foreseen is not None and "gone.py does not exist" in foreseen.words
    assert cut.usage.prompt_tokens == whole.usage.prompt_tokens
    assert 0 < cut.usage.completion_tokens < whole.usage.completion_tokens
    # The same prompt for the second time: all but its last token were there.
    assert cut.usage.cached_tokens >= 0.98 * cut.usage.prompt_tokens

    result = ToolResult(call_id=call.id, name=call.name, status=Status.ERROR, content=foreseen.words)
    history = (*request.history, cut, Tool(result=result))
    assert render(SYSTEM, history, tools).startswith(render(SYSTEM, request.history, tools))
    progress: list[PrefillProgress] = []
    after = await answer(backend, Request(SYSTEM, history, tools, SHORT), progress=progress)
    assert progress[0].cached >= cut.usage.prompt_tokens
    assert after.usage.cached_tokens >= cut.usage.prompt_tokens
    assert after.usage.completion_tokens == 8


async def answer(
    backend: LlamaBackend,
    request: Request,
    precheck: Precheck | None = None,
    *,
    progress: list[PrefillProgress] | None = None,
) -> Assistant:
    async with aclosing(backend.stream(request)) as items:
        async for item in items:
            if isinstance(item, Assistant):
                return item
            seen: Delta = item
            if precheck is not None:
                precheck.see(seen)
            if progress is not None and isinstance(seen, PrefillProgress):
                progress.append(seen)
    pytest.fail("no answer came")
