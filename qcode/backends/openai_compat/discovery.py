"""What a server tells about its model, and how long a prompt is for it.

Sources: vLLM's `max_model_len` (GET /v1/models) and POST /tokenize; llama.cpp's `meta` (GET /v1/models), GET /props,
POST /apply-template and /tokenize (its tools/server/README.md); OpenRouter's and LM Studio's `context_length`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from qcode.backends.openai_compat.faults import one_line
from qcode.errors import Refused

_ENGINES = {
    "vllm": "vLLM",
    "llamacpp": "llama.cpp",
    "library": "Ollama",
    "sglang": "SGLang",
    "organization_owner": "LM Studio",
}


def models_of(answer: object) -> list[Mapping[str, Any]]:
    """The entries of GET /v1/models that have a name; none where the answer is something else."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    entries = data if isinstance(data, list) else []
    return [entry for entry in entries if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)]


def only_model(entries: Iterable[Mapping[str, Any]], url: str) -> str:
    """The name of the one model that is there. Raises: Refused, with the names, where there is a choice."""
    names = [str(entry["id"]) for entry in entries]
    if len(names) == 1:
        return names[0]
    if not names:
        raise Refused(f"{url} does not list its models: name one with --model")
    raise Refused(f"{url} has {len(names)} models: choose one with --model ({one_line(', '.join(names))})")


def entry_of(entries: Iterable[Mapping[str, Any]], model: str | None) -> Mapping[str, Any]:
    """The entry of the model; a server with one model answers by it whatever the name."""
    listed = list(entries)
    return next((entry for entry in listed if entry["id"] == model), listed[0] if len(listed) == 1 else {})


def engine_of(entry: Mapping[str, Any]) -> str:
    """What serves it, as far as it tells."""
    return _ENGINES.get(str(entry.get("owned_by", "")), "openai")


def window_of(entry: Mapping[str, Any], props: object) -> int | None:
    """Tokens that fit; what the server runs with comes before what the model was trained for."""
    meta = entry.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    defaults = props.get("default_generation_settings") if isinstance(props, Mapping) else None
    running = defaults.get("n_ctx") if isinstance(defaults, Mapping) else None
    candidates = (
        entry.get("max_model_len"),
        running,
        meta.get("n_ctx"),
        entry.get("loaded_context_length"),
        entry.get("context_length"),
        entry.get("max_context_length"),
        meta.get("n_ctx_train"),
    )
    return next(
        (size for size in candidates if isinstance(size, int) and not isinstance(size, bool) and size > 0), None
    )


def token_count(answer: object) -> int | None:
    """The number of tokens in an answer of /tokenize: vLLM's count, or the length of llama.cpp's list."""
    match answer:
        case {"count": int(count)}:
            return count
        case {"tokens": [_, *_] as tokens}:
            return len(tokens)
        case _:
            return None
