"""The backend against llama.cpp's own server with a real model, on a port of the loopback interface."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from qcode.backends.openai_compat import OpenAIBackend
from qcode.backends.retry import RetryPolicy
from qcode.errors import ContextOverflow, Refused
from qcode.events import PrefillProgress, ToolCallDelta
from qcode.messages import Assistant, Stop, Tool, ToolCall, User
from qcode.model import Request, Sampling
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, ToolSpec

pytestmark = pytest.mark.model

CONTEXT = 1024
SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.n_ctx, p.n_parallel = sys.argv[1], int(sys.argv[2]), 1
p.chat_template, p.use_jinja, p.force_pure_content_parser = sys.argv[3], True, sys.argv[4] == "text"
p.hostnames, p.port = ["127.0.0.1"], 0
# One thread: two that wait for each other crawl where other tests want the processor too.
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.n_gpu_layers, p.warmup, p.verbosity, p.offline, p.ui = 0, False, 1, True, False
server = xllamacpp.Server(p)
print("address", server.listening_address, flush=True)
sys.stdin.read()
"""
# The calls of Qwen3-Coder's template, which llama.cpp's parser knows; the small model's own template has another form.
TEMPLATE = """
{%- for message in messages %}
    {{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' }}
    {%- if message.role == 'tool' %}
        {{- '<tool_response>\\n' + message.content + '\\n</tool_response>' }}
    {%- elif message.content %}
        {{- message.content }}
    {%- endif %}
    {%- if loop.first and tools %}
        {{- '\\n\\nFunctions:' }}
        {%- for tool in tools %}
            {{- '\\n' + tool.function | tojson }}
        {%- endfor %}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '<tool_call>\\n<function=' + call.function.name + '>\\n' }}
        {%- for name, value in call.function.arguments.items() %}
            {{- '<parameter=' + name + '>\\n' + value | string + '\\n</parameter>\\n' }}
        {%- endfor %}
        {{- '</function>\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
ONCE = RetryPolicy(waits_s=())
BASH = ToolSpec(
    "bash",
    "Run a command.",
    {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    Effect.EXEC,
)


def call(id: str, command: str) -> Assistant:
    return Assistant(tool_calls=(ToolCall(id=id, name="bash", arguments={"command": command}),))


def result(id: str, content: str) -> Tool:
    return Tool(result=ToolResult(call_id=id, name="bash", status=Status.OK, content=content))


# A model of this size calls a function when it has seen itself do so.
ASK = Request(
    "You are an agent.",
    (User(text="Where are we?"), call("call_1", "pwd"), result("call_1", "/repo"), User(text="List the files.")),
    (BASH,),
    Sampling(temperature=0.0, seed=1, max_tokens=40),
)


@pytest.fixture(scope="module", params=["parsed", "text"])
def llama_server(
    request: pytest.FixtureRequest, small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The base URL of a server that parses the calls itself, then of one that leaves them in the text."""
    folder = tmp_path_factory.mktemp("llama_server")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVER, str(small_model), str(CONTEXT), TEMPLATE, request.param],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            text=True,
        )
    assert process.stdout is not None
    address = next((line.split()[1] for line in process.stdout if line.startswith("address ")), None)
    assert address is not None, (folder / "log").read_text(errors="replace")
    yield f"{address}/v1"
    process.kill()
    process.communicate()


async def test_a_call_of_a_real_model_and_what_its_server_tells(llama_server: str) -> None:
    backend = OpenAIBackend(llama_server, retry=ONCE)
    async with aclosing(backend.stream(ASK)) as stream:
        items = [item async for item in stream]
    message = items[-1]
    assert isinstance(message, Assistant)
    assert message.stop in {Stop.TOOL_CALLS, Stop.LENGTH}
    assert message.tool_calls[0].name == "bash"
    assert message.tool_calls[0].arguments["command"].startswith("ls")
    assert "<tool_call>" not in message.text
    assert next(item for item in items if isinstance(item, ToolCallDelta)).name == "bash"
    progress = [item for item in items if isinstance(item, PrefillProgress)]
    assert progress[-1].processed == progress[-1].total == message.usage.prompt_tokens

    info = backend.info
    assert (info.engine, info.context_window) == ("llama.cpp", CONTEXT)
    assert info.model.endswith(".gguf")
    assert await backend.count_tokens(ASK) == message.usage.prompt_tokens

    first = message.model_copy(update={"tool_calls": message.tool_calls[:1]})
    history = (*ASK.history, first, result(first.tool_calls[0].id, "README.md"))
    more = Request(ASK.system, history, ASK.tools, Sampling(temperature=0.0, max_tokens=4))
    async with aclosing(backend.stream(more)) as stream:
        answer = [item async for item in stream][-1]
    assert isinstance(answer, Assistant)
    # What was read for the first request is not read again for the second.
    assert answer.usage.cached_tokens >= message.usage.prompt_tokens - 1
    await backend.aclose()


async def test_a_prompt_beyond_the_window(llama_server: str) -> None:
    backend = OpenAIBackend(llama_server, "any", retry=ONCE)
    with pytest.raises(ContextOverflow, match=f"{CONTEXT}"):
        async for _ in backend.stream(Request("s", (User(text="word " * 3000),))):
            pass
    await backend.aclose()


async def test_an_address_without_chat_completions(llama_server: str) -> None:
    backend = OpenAIBackend(llama_server.removesuffix("/v1") + "/v2", "any", retry=ONCE)
    with pytest.raises(Refused, match=r"404.*check --model and --base-url"):
        async for _ in backend.stream(ASK):
            pass
    await backend.aclose()
