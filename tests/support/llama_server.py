"""llama.cpp's own server with a real model, on a port of the loopback interface."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SERVER = """
import json, sys, xllamacpp
wanted = json.loads(sys.argv[1])
p = xllamacpp.CommonParams()
p.model.path, p.n_ctx, p.n_parallel = wanted["model"], wanted["context"], 1
p.use_jinja, p.force_pure_content_parser = True, not wanted["parses"]
if wanted["template"]:
    p.chat_template = wanted["template"]
if wanted["alias"]:
    p.model_alias = {wanted["alias"]}
p.hostnames, p.port = ["127.0.0.1"], 0
# One thread: two that wait for each other crawl where other tests want the processor too.
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.n_gpu_layers, p.warmup, p.verbosity, p.offline, p.ui = 0, False, 1, True, False
p.endpoint_slots = True
server = xllamacpp.Server(p)
print("address", server.listening_address, flush=True)
sys.stdin.read()
"""

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
"""Calls in the form of Qwen3-Coder, which llama.cpp's parser knows; the small model's own template has another."""


@contextmanager
def llama_server(
    model: Path,
    folder: Path,
    *,
    context: int = 16_384,
    template: str = TEMPLATE,
    parses: bool = True,
    alias: str = "",
) -> Iterator[str]:
    """The base URL of a server that runs while the context is open; its log lies in the folder."""
    wanted: dict[str, Any] = {
        "model": str(model), "context": context, "template": template, "parses": parses, "alias": alias,
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVER, json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            text=True,
        )
    try:
        assert process.stdout is not None
        address = next((line.split()[1] for line in process.stdout if line.startswith("address ")), None)
        assert address is not None, (folder / "log").read_text(errors="replace")
        yield f"{address}/v1"
    finally:
        process.kill()
        process.communicate()
