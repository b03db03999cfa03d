"""How much memory a model takes on each GPU, and how many tokens fit beside it. All in bytes.

The arithmetic: weights shared out by the layout; keys and values of one token, 2 (K, V) x 2 bytes x layers with
attention x heads that this GPU holds x width; the state of linear attention per sequence; and a fixed overhead.
"""

from qcode.models.card import Architecture
from qcode.models.parameters import parameters, state_bytes
from qcode.serving.plan import Budget
from qcode.serving.profiles import Layout, Quantization

FP8_BLOCK = 128
"""FP8 weights have one scale for each block of 128 x 128 (`weight_block_size` of Qwen's FP8 repositories)."""

_BYTES = {"bf16": 2, "fp8": 1}


def weight_bytes(shape: Architecture, quantization: Quantization, *, mtp: bool = False) -> int:
    """All weights together; embeddings stay in 16 bits."""
    count, width = parameters(shape), _BYTES[quantization]
    return (count.experts + count.layers + (count.mtp if mtp else 0)) * width + count.embedding * 2


def splits(shape: Architecture, quantization: Quantization, layout: Layout, count: int) -> bool:
    """Whether the model can be cut so: heads, and blocks of FP8, must not be."""
    if layout is Layout.EXPERT_DATA:
        return shape.experts > 0 and shape.experts % count == 0
    if shape.heads % count or (layout is Layout.TENSOR_EXPERT and (shape.experts == 0 or shape.experts % count)):
        return False
    if quantization == "fp8" and layout is Layout.TENSOR:
        return shape.intermediate % count == 0 and (shape.intermediate // count) % FP8_BLOCK == 0
    return True


def gpu_budget(
    shape: Architecture, quantization: Quantization, layout: Layout, *, count: int, stages: int, usable: int,
    overhead: int, mtp: bool,
) -> Budget:  # fmt: skip
    """What one of `count` x `stages` GPUs holds; `stages` are the parts of a pipeline over nodes."""
    parts, width = parameters(shape), _BYTES[quantization]
    experts = parts.experts * width // (count * stages)
    others = (parts.layers + (parts.mtp if mtp else 0)) * width + parts.embedding * 2
    shared = 1 if layout is Layout.EXPERT_DATA else count
    # Fewer heads of keys than GPUs: each head is kept on several.
    heads = max(1, shape.kv_heads // shared)
    per_token = 2 * 2 * shape.attention_layers * heads * shape.head_dim // stages
    return Budget(
        usable=usable,
        weights=experts + others // (shared * stages),
        overhead=overhead,
        state=state_bytes(shape) // (shared * stages),
        per_token=max(1, per_token),
    )


def whole_budget(shape: Architecture, weights: int, *, usable: int, overhead: int, sequences: int = 1) -> Budget:
    """Everything in one memory: a processor's, or GPUs that llama.cpp fills layer by layer."""
    return Budget(
        usable=usable,
        weights=weights,
        overhead=overhead,
        state=state_bytes(shape) * sequences,
        per_token=shape.kv_bytes_per_token * sequences,
    )
