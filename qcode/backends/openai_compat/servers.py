"""The servers that qcode knows by name, where each listens unless told otherwise, and what to change in it."""

from enum import StrEnum


class Server(StrEnum):
    """What serves a model; OTHER is any that does not say."""

    VLLM = "vLLM"
    SGLANG = "SGLang"
    LLAMA = "llama.cpp"
    OLLAMA = "Ollama"
    LM_STUDIO = "LM Studio"
    OTHER = "openai"


PORTS = {
    Server.VLLM: 8000,
    Server.LLAMA: 8080,
    Server.SGLANG: 30000,
    Server.OLLAMA: 11434,
    Server.LM_STUDIO: 1234,
}
"""Their own defaults, as their documentation gives them."""

_OWNERS = {
    "vllm": Server.VLLM,
    "llamacpp": Server.LLAMA,
    "library": Server.OLLAMA,
    "sglang": Server.SGLANG,
    "organization_owner": Server.LM_STUDIO,
}


def server_of(owner: object) -> Server:
    """Who writes this `owned_by` into its list of models."""
    return _OWNERS.get(str(owner), Server.OTHER)


def larger_window(server: Server, model: str, tokens: int) -> str:
    """How that server is given a window of `tokens`."""
    match server:
        case Server.VLLM:
            return f"start vLLM with --max-model-len {tokens}"
        case Server.SGLANG:
            return f"start SGLang with --context-length {tokens} (and a larger --mem-fraction-static if it has no room)"
        case Server.LLAMA:
            return f"start llama-server with -c {tokens} (times --parallel N, which shares it)"
        case Server.OLLAMA:
            return f"start Ollama with OLLAMA_CONTEXT_LENGTH={tokens}"
        case Server.LM_STUDIO:
            return f"load it with `lms load {model} --context-length {tokens}`"
        case Server.OTHER:
            return f"start the server with a window of {tokens} tokens"
