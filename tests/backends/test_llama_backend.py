"""The in-process engine with a real model: streaming, calls, the cache between turns, cancelling, counting."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from qcode.backends.llama.backend import LlamaBackend
from qcode.backends.llama.settings import EngineConfig
from qcode.deltas import PrefillProgress, TextDelta, ToolCallDelta
from qcode.errors import ContextOverflow
from qcode.messages import Assistant, Message, Stop, Tool, ToolCall, User
from qcode.model import Delta, Request, Sampling
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, ToolSpec

pytestmark = pytest.mark.model

SYSTEM = (
    "You are a coding assistant. You work in a repository and change it with the tools that you have.\n"
    + "\n".join(f"{number}. Look at the file number {number} before you change it." for number in range(1, 9))
)
VIEW = ToolSpec(
    name="view",
    description="Show a file.",
    parameters={
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Path of the file"},
            "first_line": {"type": "integer", "description": "First line to show"},
        },
        "required": ["path"],
    },
    effect=Effect.READ,
)
CALM = Sampling(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, max_tokens=120, seed=1)
SHORT = CALM.model_copy(update={"max_tokens": 8})


@pytest.fixture(scope="module")
def backend(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaBackend]:
    folder = tmp_path_factory.mktemp("engine")
    config = EngineConfig(model_path=small_model, log_path=folder / "engine.log", context=4096, batch=32)
    backend = LlamaBackend(config, name="small")
    backend.start()
    yield backend
    asyncio.run(backend.aclose())


async def answer(backend: LlamaBackend, request: Request) -> tuple[list[Delta], Assistant]:
    """All deltas and the one message at the end."""
    *deltas, message = [item async for item in backend.stream(request)]
    assert isinstance(message, Assistant)
    return [delta for delta in deltas if not isinstance(delta, Assistant)], message


def say(*texts: str, sampling: Sampling = CALM) -> Request:
    """A conversation without tools; every second text is the model's."""
    history: list[Message] = []
    for number, text in enumerate(texts):
        history.append(Assistant(text=text) if number % 2 else User(text=text))
    return Request(SYSTEM, tuple(history), sampling=sampling)


async def test_streams_the_text_of_its_message(backend: LlamaBackend) -> None:
    deltas, message = await answer(backend, say("Say hello in one short sentence."))
    shown = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    assert shown.strip() == message.text.strip() != ""
    assert "<|im" not in message.text
    assert message.stop is Stop.END
    assert message.usage.requests == 1
    assert message.usage.completion_tokens > 0


async def test_reports_how_far_the_prompt_is_read(backend: LlamaBackend) -> None:
    deltas, message = await answer(backend, say("One more time: " + "tick tock " * 60, sampling=SHORT))
    progress = [delta for delta in deltas if isinstance(delta, PrefillProgress)]
    assert len(progress) > 2
    assert [at.processed for at in progress] == sorted(at.processed for at in progress)
    assert progress[-1].processed == progress[-1].total == message.usage.prompt_tokens


async def test_counts_the_tokens_that_the_engine_reads(backend: LlamaBackend) -> None:
    request = Request(SYSTEM, (User(text="Grüße, 世界 🙂\n\n<tool_call> and <|im_end|>?"),), (VIEW,), SHORT)
    counted = await backend.count_tokens(request)
    _, message = await answer(backend, request)
    assert counted == message.usage.prompt_tokens


async def test_a_second_turn_reuses_the_first(backend: LlamaBackend) -> None:
    _, first = await answer(backend, say("Name a colour."))
    _, second = await answer(backend, say("Name a colour.", first.text, "Name another one."))
    assert second.usage.cached_tokens >= 0.99 * first.usage.prompt_tokens
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


async def test_the_length_limit_stops_an_answer(backend: LlamaBackend) -> None:
    _, message = await answer(backend, say("Tell me a long story about a cat.", sampling=SHORT))
    assert message.stop is Stop.LENGTH
    assert message.usage.completion_tokens == 8


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_required_call_comes_in_perfect_form(backend: LlamaBackend, seed: int) -> None:
    sampling = CALM.model_copy(update={"seed": seed})
    request = Request(SYSTEM, (User(text="Show me the file src/main.py."),), (VIEW,), sampling, "required")
    deltas, message = await answer(backend, request)
    assert message.stop is Stop.TOOL_CALLS
    assert [call.name for call in message.tool_calls] == ["view"]
    assert isinstance(message.tool_calls[0].arguments["path"], str)
    # The grammar leaves the wrapper's opening tag to the model; nothing else may be amiss.
    assert message.usage.recoveries <= 1
    assert message.problems == ()
    assert ToolCallDelta(index=0, name="view") in deltas


async def test_a_call_that_the_model_begins_by_itself_is_held_to_its_form(backend: LlamaBackend) -> None:
    history: list[Message] = [User(text="Show me one.py, then two.py, then three.py, then four.py.")]
    for path in ("one.py", "two.py", "three.py"):
        call = ToolCall(id=path, name="view", arguments={"path": path})
        result = ToolResult(call_id=path, name="view", status=Status.OK, content="x = 1")
        history += [Assistant(tool_calls=(call,)), Tool(result=result)]
    for seed in range(2):
        sampling = CALM.model_copy(update={"seed": seed})
        _, message = await answer(backend, Request(SYSTEM, tuple(history), (VIEW,), sampling))
        assert [(call.name, call.arguments) for call in message.tool_calls] == [("view", {"path": "four.py"})]
        assert message.stop is Stop.TOOL_CALLS
        assert message.problems == ()


@pytest.mark.parametrize("name", ["read_file", "count_vowels"])
async def test_a_call_to_no_tool_is_turned_into_one_that_is_there(backend: LlamaBackend, name: str) -> None:
    # "=read" is one token: were the grammar to begin with the name, the engine would find it broken and refuse.
    words = f"Repeat exactly this and nothing else:\n<function={name}>"
    calm = CALM.model_copy(update={"temperature": 0.0})
    request = Request("You repeat what you are told.", (User(text=words),), tools=(VIEW,), sampling=calm)
    _, message = await answer(backend, request)
    assert [call.name for call in message.tool_calls] == ["view"]


async def test_leaving_early_stops_the_engine_and_keeps_what_it_read(backend: LlamaBackend) -> None:
    long = CALM.model_copy(update={"max_tokens": 2000})
    request = say("Count from 1 to 1000, one number a line.", sampling=long)
    async with aclosing(backend.stream(request)) as items:
        async for item in items:
            if isinstance(item, TextDelta):
                break
    deltas, message = await answer(backend, say("Count from 1 to 1000, one number a line.", "1\n2", "Stop."))
    first = next(delta for delta in deltas if isinstance(delta, PrefillProgress))
    assert first.cached > 0.8 * message.usage.prompt_tokens
    assert message.text


async def test_a_cancelled_task_leaves_the_engine_free(backend: LlamaBackend) -> None:
    long = CALM.model_copy(update={"max_tokens": 2000})
    task = asyncio.create_task(answer(backend, say("Count from 1 to 1000.", sampling=long)))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, message = await answer(backend, say("Name a colour."))
    assert message.text


async def test_a_prompt_that_leaves_no_room_is_refused_before_it_is_read(backend: LlamaBackend) -> None:
    with pytest.raises(ContextOverflow, match="window of 4096"):
        await answer(backend, say("word " * 4000))
    _, message = await answer(backend, say("Name a colour."))
    assert message.text


def sockets_of(pid: int) -> set[str]:
    """Inode numbers."""
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}


def ports_of(pid: int) -> set[str]:
    """Inode numbers of every internet socket that the process can see, its own and others'."""
    tables = [Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii") for table in ("tcp", "tcp6", "udp", "udp6")]
    return {row.split()[9] for table in tables for row in table.splitlines()[1:]}


def folders_of(pid: int) -> list[Path]:
    """What an engine's process left in the temporary folder."""
    return list(Path(tempfile.gettempdir()).glob(f"qcode-llama-{pid}-*"))


async def test_opens_no_port_and_leaves_no_socket_on_disk(backend: LlamaBackend) -> None:
    await answer(backend, say("Name a colour."))
    pid = backend.engine_pid
    assert pid is not None
    assert sockets_of(pid)
    assert not sockets_of(pid) & ports_of(pid)
    assert folders_of(pid) == []
