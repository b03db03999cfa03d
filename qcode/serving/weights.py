"""What is loaded: from a hub, or from this disk, where the files themselves are measured."""

import json
from pathlib import Path
from typing import Any

from qcode.errors import ConfigError, ModelFileError
from qcode.models.card import Architecture, ModelCard, Shape
from qcode.models.store import is_pulled, paths, resolve
from qcode.serving.footprint import weight_bytes
from qcode.serving.plan import Weights
from qcode.serving.profiles import Hub, Quantization

_CONFIG_LIMIT = 1_000_000
"""Bytes; a config.json has some thousands."""


def from_hub(card: ModelCard, quantization: Quantization, hub: Hub, *, mtp: bool) -> Weights | None:
    """Weights that a hub has, with their size by arithmetic; None where it has none of that kind."""
    original = card.repositories.modelscope if hub == "modelscope" else card.repositories.huggingface
    model = original if quantization == "bf16" else card.repositories.fp8
    if model is None or quantization == "gguf":
        return None
    size = weight_bytes(card.architecture, quantization, mtp=mtp)
    return Weights(
        model=model, local=False, quantization=quantization, bytes=size, exact=False, shape=card.architecture
    )


def from_gguf(card: ModelCard, file: Path | None, *, must_exist: bool) -> Weights:
    """A file for llama.cpp: the one given, or the registry's. Raises: ConfigError, ModelFileError."""
    if file is not None:
        path = resolve(file).path
        size = path.stat().st_size
    elif is_pulled(card):
        path, size = resolve(card.name).path, card.gguf.bytes
    elif must_exist:
        raise ModelFileError(f"model {card.name} is not on this machine: run `qcode models pull {card.name}`")
    else:
        path, size = paths(card)[0], card.gguf.bytes
    return Weights(model=str(path), local=True, quantization="gguf", bytes=size, exact=True, shape=card.architecture)


def from_folder(card: ModelCard, folder: Path) -> Weights:
    """Safetensors on this disk, with the shape that their config.json tells.

    Raises: ConfigError where the folder holds no model, or one of another architecture than the named.
    """
    folder = folder.expanduser().absolute()
    config = _config(folder)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if size == 0:
        raise ConfigError(f"{folder} holds no .safetensors file: give the folder of a downloaded model")
    wanted = card.architecture.model_class
    named = config.get("architectures") or [wanted]
    if wanted not in (named if isinstance(named, list) else [named]):
        found = ", ".join(map(str, named)) if isinstance(named, list) else str(named)[:80]
        raise ConfigError(f"{folder} is a {found}, and {card.title} is a {wanted}: name the model that it is")
    quantization: Quantization = "fp8" if config.get("quantization_config") else "bf16"
    shape = _shape(card, folder, config)
    return Weights(model=str(folder), local=True, quantization=quantization, bytes=size, exact=True, shape=shape)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        if path.stat().st_size > _CONFIG_LIMIT:
            raise ConfigError(f"{path} is too large to be a model's configuration")
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{folder} is no model folder: its config.json cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} is not a model's configuration")
    return config


def _shape(card: ModelCard, folder: Path, config: dict[str, Any]) -> Architecture:
    """The card's shape with the sizes of config.json in place of its own."""
    names = {
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads",
        "head_dim": "head_dim",
        "hidden": "hidden_size",
        "intermediate": "intermediate_size" if card.architecture.experts == 0 else "moe_intermediate_size",
        "experts": "num_experts",
        "experts_active": "num_experts_per_tok",
        "shared_intermediate": "shared_expert_intermediate_size",
        "vocabulary": "vocab_size",
    }
    found: dict[str, Any] = {
        ours: config[theirs] for ours, theirs in names.items() if type(config.get(theirs)) is int and config[theirs] > 0
    }
    layers = found.get("layers", card.architecture.layers)
    found["attention_layers"] = layers
    if card.architecture.shape is Shape.HYBRID:
        kinds, every = config.get("layer_types"), config.get("full_attention_interval")
        found["attention_layers"] = (
            kinds.count("full_attention")
            if isinstance(kinds, list) and kinds
            else layers // (every if type(every) is int and every > 0 else 4)
        )
    return card.architecture.model_copy(update=found | {"mtp": card.architecture.mtp and _has_mtp(folder)})


def _has_mtp(folder: Path) -> bool:
    """Whether the layer for multi-token prediction was saved with the rest; only the index of the shards tells."""
    try:
        return '"mtp.' in (folder / "model.safetensors.index.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
