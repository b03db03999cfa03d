"""The lines between qcode and its engine process."""

import pytest

from qcode.backends.llama import protocol
from qcode.backends.llama.body import sampling_body
from qcode.model import Sampling

MESSAGES = [
    protocol.Load("/m.gguf", 4096, 1, 0, -1, 0, 1024, "auto", None),
    protocol.Complete(1, "two\nlines\u2028and \x00 \ud83d", "two", {"seed": 3, "stop": ["x"]}),
    protocol.Cancel(1),
    protocol.Count(2, "ä"),
    protocol.Ready(4096, {"device": "CPU"}),
    protocol.NotLoaded("model", "broken"),
    protocol.Progress(1, 5, 10, 2),
    protocol.Text(1, "\r\n"),
    protocol.Done(1, "end", 10, 2, 3, {"prompt_ms": 1.5}),
    protocol.Failed(1, "overflow", "too long"),
    protocol.Counted(2, 1),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_one_line_and_comes_back_whole(message: protocol.Message) -> None:
    line = protocol.encode(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert protocol.decode(line) == message


@pytest.mark.parametrize(
    "line", [b"llama_model_loader: loaded\n", b"{}\n", b'{"kind":"Text"}\n', b'{"kind":"Other"}\n']
)
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        protocol.decode(line)


def test_sampling_that_is_not_given_is_left_to_the_engine() -> None:
    body = sampling_body(Sampling(max_tokens=7), default_seed=None)
    assert body["n_predict"] == 7
    assert not {"temperature", "top_p", "top_k", "repeat_penalty", "seed"} & set(body)


def test_published_sampling_is_passed_on_as_it_is_meant() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, seed=5)
    body = sampling_body(sampling, default_seed=9)
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.7, 0.8, 20)
    assert (body["repeat_penalty"], body["seed"]) == (1.05, 5)
    assert "min_p" not in body["samplers"]
    assert body["samplers"].index("temperature") < body["samplers"].index("top_p")
