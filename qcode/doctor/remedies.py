"""What to change where a check fails: the exact flag or setting of each server.

Sources: the command-line help of vLLM 0.32 and llama.cpp's server; docs.sglang.io (server arguments);
docs.ollama.com (FAQ); lmstudio.ai/docs.
"""

from qcode.backends.openai_compat.servers import Server, larger_window
from qcode.models.card import ModelCard

PROXY = "if there is a proxy in between, ask the server itself: --base-url with its own port"
_NEWER = {
    Server.OLLAMA: "update Ollama, and pull the model anew: `ollama pull {model}`",
    Server.LM_STUDIO: "update LM Studio and its runtime, and use the model's own prompt template",
}
_TEMPLATE = {
    Server.VLLM: "remove --chat-template from vLLM's command: the model brings its own",
    Server.SGLANG: "remove --chat-template from SGLang's command: the model brings its own",
    Server.LLAMA: "start llama-server with --jinja and without --chat-template: the model file brings its own",
    Server.OTHER: "let the server use the chat template that comes with the model",
} | _NEWER


def parser(server: Server | None, card: ModelCard | None, written: str = "") -> str:
    """For calls that the server does not understand, or understands only in part; `written` is what the model wrote,
    whose form counts more than what is known of the model."""
    if "<function=" in written:
        name = "qwen3_coder"
    elif '"name"' in written:
        name = "hermes"
    else:
        name = "hermes" if card is not None and card.dialect == "hermes" else "qwen3_coder"
    match server:
        case Server.VLLM:
            return f"start vLLM with --enable-auto-tool-choice --tool-call-parser {name}"
        case Server.SGLANG:
            return f"start SGLang with --tool-call-parser {'qwen25' if name == 'hermes' else name}"
        case Server.LLAMA:
            return "start llama-server with --jinja, without --skip-chat-parsing and without --chat-template"
        case Server.OLLAMA | Server.LM_STUDIO:
            return _NEWER[server].format(model=card.name if card else "the model")
    return f"let the server parse calls in the form {name}"


def template(server: Server | None, model: str) -> str:
    """For a prompt that does not hold what was sent."""
    return _TEMPLATE.get(server or Server.OTHER, _TEMPLATE[Server.OTHER]).format(model=model)


def streaming(server: Server | None) -> str:
    """For answers that come in one piece."""
    own = {
        Server.LLAMA: "; in nginx set `proxy_buffering off`",
        Server.VLLM: "; in nginx set `proxy_buffering off`, and leave --stream-interval at 1",
        Server.SGLANG: "; in nginx set `proxy_buffering off`, and leave --stream-interval at 1",
    }
    return PROXY + own.get(server or Server.OTHER, "; in nginx set `proxy_buffering off`")


def prefix_cache(server: Server | None) -> str:
    """For a prompt that is read anew at every turn."""
    match server:
        case Server.VLLM:
            return "start vLLM with --enable-prefix-caching (and without --no-enable-prefix-caching)"
        case Server.SGLANG:
            return "start SGLang without --disable-radix-cache"
        case Server.LLAMA:
            return "start llama-server without --no-cache-prompt (a request's \"cache_prompt\": false does it too), " \
                   "with as many --parallel slots as sessions"  # fmt: skip
        case Server.OLLAMA:
            return "set OLLAMA_NUM_PARALLEL=1 and OLLAMA_KEEP_ALIVE=-1, so that the loaded model keeps its prompt"
        case Server.LM_STUDIO:
            return "set a longer idle TTL for the model and send it one session at a time"
    return "switch the server's prefix cache on"


def told_cache(server: Server | None) -> str:
    """For a server that does not say how much of a prompt was cached."""
    match server:
        case Server.VLLM:
            return "start vLLM with --enable-prompt-tokens-details to see it"
        case Server.SGLANG:
            return "start SGLang with --enable-cache-report to see it"
    return "this server does not report it"


def first_token(server: Server | None) -> str:
    """For a prompt that is known and yet waits long for its first token."""
    match server:
        case Server.OLLAMA:
            return "keep the model loaded: OLLAMA_KEEP_ALIVE=-1"
        case Server.LM_STUDIO:
            return "load the model beforehand: `lms load`, without a TTL"
        case Server.VLLM:
            return "look for waiting requests in vLLM's log; raise --max-num-seqs, or remove --cpu-offload-gb; " + PROXY
        case Server.SGLANG:
            return "look for queued requests in SGLang's log; raise --max-running-requests; " + PROXY
        case Server.LLAMA:
            return "look for other clients: raise --parallel; " + PROXY
    return PROXY


def cancelling(server: Server | None) -> str:
    """For an answer that goes on after it was cancelled."""
    del server
    return "let what stands between pass on that the client hung up (nginx: `proxy_ignore_client_abort off`); " + PROXY


def thinking(server: Server | None) -> str:
    """For thoughts that come as text."""
    match server:
        case Server.VLLM:
            return "start vLLM with --reasoning-parser qwen3"
        case Server.SGLANG:
            return "start SGLang with --reasoning-parser qwen3"
        case Server.LLAMA:
            return "start llama-server with --jinja --reasoning-format deepseek"
        case Server.OLLAMA | Server.LM_STUDIO:
            return _NEWER[server].format(model="the model")
    return "let the server send thoughts as reasoning_content"


def window(server: Server | None, model: str) -> str:
    """For a window that is too small."""
    return larger_window(server, model, 32_768) if server else "give --context 32768"


def wrong_model(server: Server | None, model: str, served: str) -> str:
    """For a server that runs another model than the one that was asked for."""
    match server:
        case Server.VLLM:
            return f"start vLLM with the model {model} (or --served-model-name {model}), or give --model {served}"
        case Server.SGLANG:
            return f"start SGLang with --model-path {model}, or give --model {served}"
        case Server.LLAMA:
            return f"start llama-server with -m and the file of {model} (and --alias {model}), or give --model {served}"
        case Server.OLLAMA:
            return f"run `ollama pull {model}`, or give --model {served}"
        case Server.LM_STUDIO:
            return f"run `lms load {model}`, or give --model {served}"
    return f"give --model {served}"
