"""How many parameters a network has and what it keeps per sequence, from its shape. Counts; sizes in bytes.

Sources: the weights of Qwen2ForCausalLM, Qwen3ForCausalLM, Qwen3MoeForCausalLM and Qwen3NextForCausalLM in transformers
(modeling_*.py). tests/serving compares the counts with what transformers builds.
"""

from dataclasses import dataclass

from qcode.models.card import Architecture, Shape

# Gated DeltaNet of Qwen3-Next: heads of keys and of values, their width, and the taps of the convolution.
_LINEAR_KEY_HEADS = 16
_LINEAR_VALUE_HEADS = 32
_LINEAR_DIM = 128
_LINEAR_TAPS = 4


@dataclass(frozen=True, slots=True)
class Parameters:
    """`experts` can be spread over GPUs whole; `embedding` stays in 16 bits when the rest is quantised."""

    experts: int
    layers: int
    """All that is in the layers beside the routed experts."""
    embedding: int
    mtp: int = 0
    """The layer for multi-token prediction, loaded only where it is used."""

    @property
    def total(self) -> int:
        return self.experts + self.layers + self.embedding


def parameters(shape: Architecture) -> Parameters:
    """Counted as transformers counts them, without the MTP layer in the total."""
    embedding = shape.vocabulary * shape.hidden * (1 if shape.tied else 2) + shape.hidden
    linear_layers = shape.layers - shape.attention_layers
    mixers = shape.attention_layers * _attention(shape) + linear_layers * _delta_net(shape)
    layers = mixers + shape.layers * (_mlp_beside_experts(shape) + 2 * shape.hidden)
    experts = shape.layers * _experts(shape)
    mtp = 0
    if shape.mtp:
        norms = 5 * shape.hidden
        mtp = _attention(shape) + _mlp_beside_experts(shape) + _experts(shape) + 2 * shape.hidden**2 + norms
    return Parameters(experts, layers, embedding, mtp)


def state_bytes(shape: Architecture) -> int:
    """What one running sequence keeps in the layers of linear attention, whatever its length: its state in 32 bits and
    the taps in 16."""
    linear_layers = shape.layers - shape.attention_layers
    state = _LINEAR_VALUE_HEADS * _LINEAR_DIM * _LINEAR_DIM * 4
    taps = (_LINEAR_TAPS - 1) * _linear_channels() * 2
    return linear_layers * (state + taps)


def _experts(shape: Architecture) -> int:
    return shape.experts * 3 * shape.hidden * shape.intermediate


def _mlp_beside_experts(shape: Architecture) -> int:
    if shape.experts == 0:
        return 3 * shape.hidden * shape.intermediate
    shared = 3 * shape.hidden * shape.shared_intermediate + shape.hidden if shape.experts_shared else 0
    return shape.hidden * shape.experts + shared


def _attention(shape: Architecture) -> int:
    queries = shape.heads * shape.head_dim
    keys = shape.kv_heads * shape.head_dim
    gated = 2 if shape.shape is Shape.HYBRID else 1
    weights = shape.hidden * (gated * queries + 2 * keys + queries)
    if shape.model_class == "Qwen2ForCausalLM":
        return weights + queries + 2 * keys
    return weights + 2 * shape.head_dim


def _linear_channels() -> int:
    return _LINEAR_DIM * (2 * _LINEAR_KEY_HEADS + _LINEAR_VALUE_HEADS)


def _delta_net(shape: Architecture) -> int:
    values = _LINEAR_DIM * _LINEAR_VALUE_HEADS
    gates = 2 * _LINEAR_VALUE_HEADS
    projections = shape.hidden * (_linear_channels() + values + gates) + values * shape.hidden
    return projections + _LINEAR_TAPS * _linear_channels() + gates + _LINEAR_DIM
