"""A real OpenAI-compatible server on the loopback interface, with a script for a model."""

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _module() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "openai_server.py"
    spec = importlib.util.spec_from_file_location("openai_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[tuple[str, Any]]]]:
    """`url, server = await serve(reply, …, option=…)`: see benchmarks/openai_server.py."""
    servers: list[Any] = []
    module = _module()

    async def start(*replies: dict[str, Any], **options: Any) -> tuple[str, Any]:
        server = module.OpenAIServer(list(replies) or [{"text": "done"}], **options)
        servers.append(server)
        return await server.start(), server

    yield start
    for server in servers:
        await server.stop()
