"""Which mode a model is used in, and how it is sampled then."""

import pytest

from qcode.errors import ConfigError
from qcode.model import Thinking
from qcode.models.registry import find, load_registry, recognise
from qcode.models.thinking import asked_in_words, sampling_of

HYBRID, CODER, THINKER = "qwen3-32b", "qwen3-coder-30b-a3b", "qwen3-next-80b-a3b-thinking"


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("Fix it.", None),
        ("Fix it. /no_think", False),
        ("/think about it", True),
        ("/think first\nthen /no_think", False),
        ("see src/think and http://host/think", None),
        ("/thinking is no switch", None),
    ],
)
def test_the_last_switch_in_the_words_counts(text: str, wish: bool | None) -> None:
    assert asked_in_words(text) is wish


@pytest.mark.parametrize(
    ("think", "words", "enabled", "numbers"),
    [
        (None, "", True, (0.6, 0.95, 20)),
        (False, "", False, (0.7, 0.8, 20)),
        (None, "be quick /no_think", False, (0.7, 0.8, 20)),
        (True, "be quick /no_think", True, (0.6, 0.95, 20)),
    ],
)
def test_a_hybrid_is_sampled_as_its_mode_wants(
    think: bool | None, words: str, enabled: bool, numbers: tuple[float, float, int]
) -> None:
    sampling = sampling_of(find(HYBRID), think=think, budget=None, words=words)
    assert sampling.thinking == Thinking(enabled=enabled)
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == numbers


def test_a_budget_means_thinking() -> None:
    sampling = sampling_of(find(HYBRID), think=None, budget=300, words="/no_think")
    assert sampling.thinking == Thinking(enabled=True, budget=300)
    with pytest.raises(ConfigError, match="nothing for --thinking-budget"):
        sampling_of(find(HYBRID), think=False, budget=300)


def test_a_model_of_one_mode_cannot_be_asked_for_the_other() -> None:
    assert sampling_of(find(CODER), think=None, budget=None, words="/think").thinking is None
    assert sampling_of(find(CODER), think=False, budget=None).thinking is None
    with pytest.raises(ConfigError, match="does not think: --think has no meaning"):
        sampling_of(find(CODER), think=True, budget=None)
    assert sampling_of(find(THINKER), think=None, budget=9).thinking == Thinking(enabled=True, budget=9)
    with pytest.raises(ConfigError, match="always thinks"):
        sampling_of(find(THINKER), think=False, budget=None)


def test_an_unknown_model_is_asked_as_the_user_says() -> None:
    assert sampling_of(None, think=None, budget=None).thinking is None
    assert sampling_of(None, think=True, budget=None).thinking == Thinking(enabled=True)


@pytest.mark.parametrize(
    ("served", "name"),
    [
        ("qwen3-coder:30b", "qwen3-coder-30b-a3b"),
        ("qcode/qwen3-coder:30b-32768", "qwen3-coder-30b-a3b"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8", "qwen3-coder-30b-a3b"),
        ("hf.co/unsloth/Qwen3-Coder-480B-A35B-Instruct-GGUF:Q4_K_M", "qwen3-coder-480b-a35b"),
        ("/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-0.5b"),
        ("qwen3:8b", "qwen3-8b"),
        ("Qwen3-235B-A22B", "qwen3-235b-a22b"),
        ("Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b-instruct-2507"),
        ("qwen3-coder:latest", None),
        ("gpt-4", None),
    ],
)
def test_a_served_model_is_known_by_its_name(served: str, name: str | None) -> None:
    card = recognise(served)
    assert (card.name if card else None) == name


def test_every_model_is_recognised_by_the_names_of_its_repositories() -> None:
    for card in load_registry():
        for name in (card.repositories.huggingface, card.repositories.modelscope, card.repositories.fp8):
            assert name is None or recognise(name) is card
