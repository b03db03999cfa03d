"""How far a server has come, read from the lines of its own log.

Sources: the log lines of vLLM 0.32 and SGLang 0.5, and the bars of tqdm that they draw; llama.cpp's server.
"""

import re
from collections.abc import Callable

_Words = Callable[[re.Match[str]], str]

_STEPS: tuple[tuple[re.Pattern[str], _Words], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"(?:Fetching|Downloading)[^\n%]{0,200}?(\d+)%", lambda m: f"downloading {m[1]}%"),
        (
            r"(?:[Ll]oading|[Ll]oad)[^\n%]{0,60}shards:\s+(\d+)% Completed \| (\d+)/(\d+)",
            lambda m: f"loading weights {m[1]}% ({m[2]} of {m[3]} files)",
        ),
        (r"Starting to load model|Load weight begin|load_model: loading model", lambda m: "loading weights"),
        (r"Model loading took ([\d.]+) GiB", lambda m: f"weights loaded, {m[1]} GiB"),
        (r"load_model: initializing, n_slots = (\d+)", lambda m: f"weights loaded, making the cache of {m[1]} slots"),
        (r"Load weight end", lambda m: "weights loaded"),
        (r"torch\.compile took|[Cc]ompiling a graph", lambda m: "compiling"),
        (r"KV cache size: ([\d,]+) tokens", lambda m: f"cache of {m[1]} tokens"),
        (r"[Cc]apturing (?:CUDA|cuda) graphs?[^\n%]{0,80}?(\d+)%", lambda m: f"capturing graphs {m[1]}%"),
        (r"Application startup complete|listening (?:on|at) http", lambda m: "listening, waiting for a first answer"),
    )
)


def progress(text: str) -> str | None:
    """The last step that this piece of log tells, in words for the user; None where it tells none."""
    for line in reversed(re.split(r"[\r\n]", text)):
        for pattern, words in _STEPS:
            if match := pattern.search(line[:1000]):
                return words(match)
    return None


_IDLE = re.compile(r"throughput|\"(?:GET|POST) |^\s*$")


def shows_work(text: str) -> bool:
    """Whether this piece of log comes from work: statistics and visits are written also by a server that hangs."""
    return any(not _IDLE.search(line[:1000]) for line in text.splitlines())
