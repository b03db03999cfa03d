"""What llama.cpp's server is asked for one answer.

Source of the field names: llama.cpp `tools/server/README.md`, POST /completion.
"""

from typing import Any

from qcode.model import Sampling

STOP = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")
"""Ends of an answer that the engine is told about, should the model file not mark them as such."""

_WHOLE_TOKENS = ("<tool_call>", "</tool_call>", *STOP)
"""Tokens that must appear in the text even where a model file marks them as control tokens."""

# The order in which the models' published values are meant (as vLLM and transformers apply them): the temperature
# shapes what top_p cuts. llama.cpp's own order ends with the temperature, and its min_p would cut once more.
_ORDER = ("penalties", "top_k", "temperature", "top_p")


def sampling_body(sampling: Sampling, *, default_seed: int | None) -> dict[str, Any]:
    """The fields for how tokens are chosen and when to stop; a value that is None stays the engine's own."""
    seed = default_seed if sampling.seed is None else sampling.seed
    chosen = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repeat_penalty": sampling.repetition_penalty,
        "seed": seed,
    }
    return {
        "n_predict": sampling.max_tokens,
        "samplers": list(_ORDER),
        "stop": list(STOP),
        "preserved_tokens": list(_WHOLE_TOKENS),
        **{name: value for name, value in chosen.items() if value is not None},
    }
