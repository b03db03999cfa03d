"""How each engine serves each model: profiles.toml, read once."""

import tomllib
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter

from qcode.errors import ConfigError
from qcode.messages import Frozen

PROFILES_FILE = Path(__file__).with_name("profiles.toml")

Speculation = Literal["off", "mtp", "ngram"]
Hub = Literal["huggingface", "modelscope"]
Quantization = Literal["bf16", "fp8", "gguf"]


class EngineName(StrEnum):
    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMA = "llama-server"


class Layout(StrEnum):
    """How several GPUs share one model."""

    TENSOR = "tensor"
    TENSOR_EXPERT = "tensor+expert"
    EXPERT_DATA = "expert+data"


class Setting(Frozen):
    """One flag or environment variable; `value` None is a flag without one. All of `when` must hold."""

    name: str
    aliases: tuple[str, ...] = ()
    value: str | None = None
    when: tuple[str, ...] = ()
    why: str


class EngineProfile(Frozen):
    """What an engine is started with; `module` is run by Python, `node_module` where nodes work together."""

    title: str
    port: int
    minimum: str
    module: str
    node_module: str | None = None
    overhead_gib: float
    utilisation: float
    tool_parsers: dict[str, str]
    reasoning_parser: str
    variable: tuple[Setting, ...] = ()
    flag: tuple[Setting, ...]


class Published(Frozen):
    """A command of the model card, for the hub and speculation that it names (None: any)."""

    hub: Hub | None = None
    speculation: Speculation | None = None
    environment: dict[str, str] = {}
    command: str


class Profile(Frozen):
    """How one engine serves some models; `weights` and `layouts` in order of preference, `gpus` as the card says."""

    models: tuple[str, ...]
    engine: EngineName
    weights: tuple[Quantization, ...] = ("bf16", "fp8")
    gpus: int = 1
    layouts: tuple[Layout, ...] = (Layout.TENSOR,)
    long: bool = False
    utilisation: float | None = None
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    published: tuple[Published, ...] = ()


class _File(Frozen):
    engine: dict[EngineName, EngineProfile]
    profile: tuple[Profile, ...] = Field(min_length=1)


@lru_cache(maxsize=1)
def _load() -> _File:
    with PROFILES_FILE.open("rb") as file:
        return TypeAdapter(_File).validate_python(tomllib.load(file))


def engine_profile(engine: EngineName) -> EngineProfile:
    """What that engine is started with, whatever the model."""
    return _load().engine[engine]


def profile_for(model: str, engine: EngineName) -> Profile:
    """How that engine serves the model of that registered name. Raises: ConfigError."""
    for profile in _load().profile:
        if profile.engine is engine and (model in profile.models or "*" in profile.models):
            return profile
    raise ConfigError(f"qcode has no profile for {model} on {engine}")
