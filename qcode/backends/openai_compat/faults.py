"""What went wrong at a server, as qcode.errors: one line each, with the server's own words and what to do.

Messages of servers are untrusted text: control characters are removed and 300 characters kept.
"""

import json
import re
import unicodedata
from collections.abc import Mapping

from qcode.errors import BackendError, ContextOverflow, Malformed, Overloaded, Refused, Unavailable

WORDS_LIMIT = 300
"""Characters of a server's message that are shown."""

# One line a server: OpenAI and vLLM; vLLM's older and newer wordings; llama.cpp (error type, then messages); Ollama and
# LM Studio; SGLang (two places); TGI and others. tests/backends/test_openai_faults.py holds the messages in full.
_OVERFLOW = re.compile(
    r"context_length_exceeded|maximum context length"
    r"|longer than the maximum model length|(?:prompt|input)[^.]{0,40} is too long"
    r"|exceed_context_size_error|exceeds? the available context size|context size (?:has been )?exceeded"
    r"|context shift is disabled"
    r"|input length[^.]{0,40} exceeds?|tokens when context the overflows|greater than the context length"
    r"|longer than the model's context length|exceeds the maximum allowed length|exceeds? the model's maximum context"
    r"|must be <= \d+ tokens|exceeds? (?:the|its|your) context (?:window|length)",
    re.IGNORECASE,
)
# llama.cpp answers 500 to what is wrong with a request or with the template that is to render it: asking again changes
# nothing.
_OF_THE_REQUEST = re.compile(r"Failed to parse (?:tools|messages|input)|While executing \w+ at line")
_WINDOW = re.compile(r"maximum context length (?:is|of) (\d+)")
_PROMPT = re.compile(
    r"has (\d+) input tokens|\((\d+) in the messages|prompt contains (\d+) input tokens|"
    r"(?<!\d)(\d+) tokens from the input"
)


def one_line(text: str, limit: int = WORDS_LIMIT) -> str:
    """The text without control and formatting characters, on one line, cut after `limit` characters."""
    head = text[: limit * 4]
    visible = "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} else c for c in head)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def words_of(body: object) -> str:
    """The message in an error body of any known shape: OpenAI's, vLLM's, FastAPI's `detail`, plain text, HTML."""
    match body:
        case {"error": {**error}}:
            return words_of(error)
        case {"message": str(message), **rest}:
            return " ".join([message, *(value for key in ("type", "code") if isinstance(value := rest.get(key), str))])
        case {"error": str(message)} | {"detail": str(message)}:
            return message
        case str(text) if "<html" in text[:500].lower():
            return re.sub(r"<[^>]{0,500}>", " ", re.sub(r"(?s)<(style|script)\b.*?</\1>", " ", text))
        case str(text):
            return text
        case _ if not body:
            return ""
        case _:
            return json.dumps(body, ensure_ascii=False, default=str)


def from_status(status: int, words: str, url: str, *, retry_after: str = "") -> BackendError:
    """An answer of the server that is no success; `words` as words_of gives them."""
    said = one_line(words)
    what = f"{url} answered {status}" + (f": {said}" if said else " without a word")
    if status in {400, 413, 422, 500} and is_overflow(words):
        return _overflow(url, said)
    match status:
        case 500 if _OF_THE_REQUEST.search(words):
            return Refused(what)
        case 400 if "does not support tools" in words:
            return Refused(f"{what}; use a model whose template has tools, see `qcode doctor`")
        case 429 if "insufficient_quota" in words:
            return Refused(f"{what}; the account's quota is used up")
        case 429 | 503 | 529:
            return Overloaded(f"{what}; it is busy or still loading", retry_after_s=_seconds(retry_after))
        case 401 | 403:
            return Refused(f"{what}; check the API key")
        case 404:
            return Refused(f"{what}; check --model and --base-url (most servers need /v1 at its end)")
        case 408 | 425 | 500 | 502 | 504 | 520 | 521 | 522 | 523 | 524:
            return Unavailable(f"{what}; see the server's log")
        case _ if 300 <= status < 400:
            return Refused(f"{what}; it points elsewhere: use its final address as --base-url")
        case _ if status >= 500:
            return Unavailable(f"{what}; see the server's log")
        case _:
            return Refused(what)


def from_stream(body: object, url: str) -> BackendError:
    """An error that the server put in the middle of its stream."""
    words = words_of(body)
    if is_overflow(words):
        return _overflow(url, one_line(words))
    code = body.get("code") if isinstance(body, Mapping) else None
    if isinstance(code, int) and 400 <= code < 600:
        return from_status(code, words, url)
    return Unavailable(f"{url} broke off with an error: {one_line(words) or 'no message'}; see the server's log")


def from_connection(error: BaseException, url: str) -> BackendError:
    """No answer at all; `error` is what the HTTP library or the system raised, with its causes."""
    import httpx2

    chain = _causes(error)
    names = {type(cause).__name__ for cause in chain}
    detail = one_line(next((str(cause) for cause in reversed(chain) if str(cause)), type(error).__name__))
    if "gaierror" in names:
        return Unavailable(f"The host of {url} has no address ({detail}): check --base-url")
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        return Unavailable(f"Nothing answers at {url} (connection refused): start the server or check --base-url")
    if "SSLCertVerificationError" in names:
        return Refused(f"The certificate of {url} cannot be verified ({detail}): check the address or SSL_CERT_FILE")
    if "SSLError" in names:
        return Refused(f"{url} does not speak TLS ({detail}): use http:// in --base-url")
    if any(isinstance(cause, httpx2.TimeoutException) for cause in chain):
        return Unavailable(f"{url} did not accept a connection in time: check --base-url and the network")
    if any(isinstance(cause, httpx2.RemoteProtocolError) for cause in chain) and "disconnected" not in detail:
        return Malformed(f"{url} does not answer in HTTP ({detail}): check --base-url")
    return Unavailable(f"The connection to {url} failed ({detail}): see the server's log")


def broke_off(url: str, detail: str) -> Malformed:
    """The answer began and did not end."""
    return Malformed(f"{url} broke off in the middle of its answer ({one_line(detail)}); nothing of it is used")


def garbage(url: str, detail: str) -> Malformed:
    """Something came that is not a stream of chat completion chunks."""
    return Malformed(f"{url} sent what is not a chat completion ({one_line(detail)}): check --base-url")


def no_stream(url: str, content_type: str) -> BackendError:
    """Success without a single event."""
    kind = one_line(content_type.partition(";")[0], 80).lower()
    if kind in {"text/html", "application/json"}:
        return Refused(f"{url} answered with {kind}, not with a stream of events: check --base-url")
    return garbage(url, "an empty stream")


def is_overflow(words: str) -> bool:
    """Does a server say by this that the prompt is too long for it?"""
    return bool(_OVERFLOW.search(words))


def room_for_answer(words: str) -> int | None:
    """Tokens that are left beside the prompt, where a server refused `max_tokens` and said the numbers."""
    window, prompt = _WINDOW.search(words), _PROMPT.search(words)
    if not window or not prompt:
        return None
    return int(window[1]) - int(next(group for group in prompt.groups() if group))


def _overflow(url: str, said: str) -> ContextOverflow:
    return ContextOverflow(f"The prompt does not fit the model's window at {url}: {said}")


def _causes(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 20:
        chain.append(cause)
    return chain


def _seconds(retry_after: str) -> float | None:
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e6 else None
