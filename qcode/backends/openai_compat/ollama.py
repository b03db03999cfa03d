"""Ollama's own addresses: which window a model has there, and a model of ours with a larger one.

Over its OpenAI-compatible address Ollama takes no window with a request; its documentation's way is a model that is
made from the other one with the parameter `num_ctx`. It shares the weights and costs a file of some hundred bytes.
Source: github.com/ollama/ollama docs/api.md (POST /api/show, /api/create, GET /api/ps) and docs/openai.md.
"""

import re
from collections.abc import Mapping
from typing import Any

from qcode.backends.openai_compat.connection import Connection

_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)
_PREFIX = "qcode/"


async def windows(connection: Connection, model: str) -> tuple[int | None, int | None]:
    """The window that Ollama gives the model, as far as it tells, and the one that the model was made for.

    Raises: BackendError.
    """
    shown = await connection.ask("post", f"{connection.root}/api/show", {"model": model}, absent_is_none=True)
    given, native = _given(shown), _native(shown)
    if given is None:
        given = _loaded(await connection.ask("get", f"{connection.root}/api/ps", absent_is_none=True), model)
    return given, native


async def with_window(connection: Connection, model: str, tokens: int) -> str:
    """The name of the model with that window, made if it is not there. Raises: BackendError."""
    name = derived_name(model, tokens)
    body: dict[str, Any] = {"model": name, "from": model, "parameters": {"num_ctx": tokens}, "stream": False}
    await connection.ask("post", f"{connection.root}/api/create", body)
    return name


def derived_name(model: str, tokens: int) -> str:
    """What the model with that window is called: qcode/qwen3-coder:30b-32768."""
    last = model.rpartition("/")[2]
    return f"{_PREFIX}{last if ':' in last else last + ':latest'}-{tokens}"


def is_derived(model: str) -> bool:
    """Was the model made by us?"""
    return model.startswith(_PREFIX)


def _given(shown: object) -> int | None:
    parameters = shown.get("parameters") if isinstance(shown, Mapping) else None
    found = _NUM_CTX.search(parameters) if isinstance(parameters, str) else None
    return int(found[1]) if found else None


def _native(shown: object) -> int | None:
    info = shown.get("model_info") if isinstance(shown, Mapping) else None
    for key, value in info.items() if isinstance(info, Mapping) else ():
        if str(key).endswith(".context_length") and isinstance(value, int) and value > 0:
            return value
    return None


def _loaded(answer: object, model: str) -> int | None:
    models = answer.get("models") if isinstance(answer, Mapping) else None
    for entry in models if isinstance(models, list) else []:
        if isinstance(entry, Mapping) and entry.get("name") == model:
            size = entry.get("context_length")
            return size if isinstance(size, int) and size > 0 else None
    return None
