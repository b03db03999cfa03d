"""The messages of real servers, and what qcode makes of them."""

import pytest

from qcode.backends.openai_compat import faults
from qcode.errors import BackendError, ContextOverflow, Overloaded, Refused, Unavailable

URL = "http://127.0.0.1:8000/v1"

OVERFLOWS = [
    # OpenAI
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 254457 tokens. Please "
    "reduce the length of the messages.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    # vLLM, in the order of its releases
    "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the "
    "messages, 10000 in the completion). Please reduce the length of the messages or completion.",
    "The decoder prompt (length 40000) is longer than the maximum model length of 32768. Make sure that "
    "`max_model_len` is no smaller than the number of text tokens.",
    "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 2048 tokens "
    "and your request has 2000 input tokens (4096 > 2048 - 2000). (parameter=max_tokens, value=4096)",
    "This model's maximum context length is 2048 tokens. However, your request has 8 input tokens plus 2045 "
    "'max_tokens'. Please reduce one or the other. (parameter=input_tokens, max_tokens, value=(8, 2045))",
    # llama.cpp
    "request (33000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "Context size has been exceeded.",
    # Ollama, LM Studio
    "the input length exceeds the context length",
    "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with context "
    "length of only 32768 tokens, which is not enough. Try to load the model with a larger context length, or provide "
    "a shorter input. Error Data: n/a, Additional Data: n/a",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    # SGLang
    "Input length (700001 tokens) exceeds the maximum allowed length (536826 tokens). Use a shorter input or enable "
    "--allow-auto-truncate.",
    "The input (12345 tokens) is longer than the model's context length (8192 tokens).",
]

NOT_OVERFLOWS = [
    "max_tokens must be at least 1, got 0.",
    "The model `gpt-5` does not exist.",
    "Unknown parameter: 'top_k'",
    "Rate limit reached for tokens per min (TPM): Limit 10000, Used 9000",
    "top_p must be in (0, 1], got 2.0.",
]


@pytest.mark.parametrize("words", OVERFLOWS)
def test_an_overflow_is_known_in_each_server_s_words(words: str) -> None:
    assert isinstance(faults.from_status(400, words, URL), ContextOverflow)
    assert isinstance(faults.from_stream({"message": words}, URL), ContextOverflow)


@pytest.mark.parametrize("words", NOT_OVERFLOWS)
def test_another_refusal_is_not_taken_for_an_overflow(words: str) -> None:
    assert isinstance(faults.from_status(400, words, URL), Refused)


def test_llama_cpp_names_the_overflow_in_its_type() -> None:
    body = {"error": {"code": 400, "message": "too much", "type": "exceed_context_size_error", "n_ctx": 4096}}
    assert isinstance(faults.from_status(400, faults.words_of(body), URL), ContextOverflow)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused), (401, Refused), (403, Refused), (404, Refused), (405, Refused), (409, Refused), (307, Refused),
        (429, Overloaded), (503, Overloaded), (408, Unavailable), (500, Unavailable), (502, Unavailable),
        (504, Unavailable),
    ],
)  # fmt: skip
def test_each_status_has_its_error(status: int, kind: type[BackendError]) -> None:
    error = faults.from_status(status, "no", URL)
    assert type(error) is kind
    assert URL in str(error)
    assert str(status) in str(error)
    assert "\n" not in str(error)


def test_used_up_quota_is_not_waited_for() -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    assert isinstance(faults.from_status(429, faults.words_of(body), URL), Refused)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0.5", 0.5), ("", None), ("-1", None), ("nan", None)])
def test_retry_after_is_passed_on(header: str, seconds: float | None) -> None:
    error = faults.from_status(503, "Loading model", URL, retry_after=header)
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no such model", "param": None, "code": 404}}, "no such model"),
        ({"error": "model not found"}, "model not found"),
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, "bad BadRequestError"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs"}]}, '"top_k"'),
        ("<html><head><style>p {}</style></head><body><h1>502 Bad Gateway</h1></body></html>", "502 Bad Gateway"),
        ("plain words", "plain words"),
        (None, ""),
        ({}, ""),
    ],
)
def test_the_words_are_found_in_any_body(body: object, words: str) -> None:
    found = faults.words_of(body)
    assert words in found
    assert "<" not in found
    assert "p {}" not in found


def test_a_message_is_one_short_line_without_control_characters() -> None:
    hostile = "one\x1b[31m\r\ntwo\u202e\u200b\x07 " + "x" * 1000
    line = faults.one_line(hostile)
    assert line.isprintable()
    assert line.startswith("one [31m two x")
    assert len(line) == faults.WORDS_LIMIT


def test_the_room_beside_the_prompt_is_read_from_the_refusal() -> None:
    assert faults.room_for_answer(OVERFLOWS[4]) == 48
    assert faults.room_for_answer(OVERFLOWS[5]) == 2040
    assert faults.room_for_answer(OVERFLOWS[2]) == 16384 - 112946
    assert faults.room_for_answer("no numbers") is None
