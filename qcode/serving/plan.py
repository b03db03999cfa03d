"""What is to be started: the user's wish, and the plan that it becomes. Sizes in bytes, windows in tokens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qcode.messages import Frozen
from qcode.models.card import Architecture, ModelCard
from qcode.serving.profiles import EngineName, Hub, Layout, Quantization, Speculation

SMALLEST_CONTEXT = 16_384
"""Tokens: with less, an agent's tools and files do not fit, and it fails in ways that look like the model's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for; None leaves the choice to qcode."""

    card: ModelCard
    engine: EngineName | None = None
    context: int | None = None
    quantization: Quantization | None = None
    hub: Hub = "huggingface"
    speculation: Speculation | Literal["auto"] = "auto"
    nodes: int = 1
    head: str = "HEAD_ADDRESS"
    """Where the other nodes reach the first."""
    cluster: Literal["ray", "own"] = "ray"
    replicas: int = 1
    slots: int | None = None
    port: int | None = None
    folder: Path | None = None
    """Weights on this disk: a folder of safetensors, or a .gguf file."""
    python: Path | None = None
    offline: bool = False
    """No hub is asked: its weights are in the hub's own cache."""
    extra: tuple[str, ...] = ()
    """Flags for the engine, passed on as they are."""


class Weights(Frozen):
    """What is loaded: a repository of a hub, a folder or a file. `exact` where the files were measured."""

    model: str
    local: bool
    quantization: Quantization
    bytes: int
    exact: bool
    shape: Architecture


class Budget(Frozen):
    """Memory of one GPU, or the main memory where there is none.

    `per_token` is the cache of one token there; `state` what one sequence keeps in linear attention.
    """

    usable: int
    weights: int
    overhead: int
    state: int
    per_token: int

    @property
    def room(self) -> int:
        """What is left for keys and values; below 0 the weights do not fit."""
        return self.usable - self.weights - self.overhead - self.state

    @property
    def tokens(self) -> int:
        """How many tokens fit into that room."""
        return max(0, self.room // self.per_token)


class Plan(Frozen):
    """One server, complete: `command.launches` makes the same commands of it everywhere."""

    model: str
    title: str
    engine: EngineName
    hub: Hub
    weights: Weights
    layout: Layout | None
    """None where nothing is shared out: one GPU, or none."""
    gpus: tuple[int, ...]
    """Indices that one replica takes: replica r takes those after the r-th of them."""
    gpu_count: int
    tensor: int = 1
    data: int = 1
    pipeline: int = 1
    nodes: int = 1
    head: str
    cluster: Literal["ray", "own"]
    replicas: int = 1
    context: int
    native: int
    factor: int = 1
    """YaRN; 1 is without it."""
    context_why: str
    slots: int
    speculation: Speculation
    utilisation: float
    cache_gib: int = 0
    threads: int = 0
    """Where a server has a machine of few processors to itself, all of them; else it shares them out by itself."""
    port: int
    python: str | None
    """The interpreter that has the engine; None where it was not found."""
    program: str | None = None
    """A llama-server binary, where there is one."""
    budget: Budget
    offline: bool = False
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def on_gpu(self) -> bool:
        return bool(self.gpus)

    @property
    def served(self) -> str:
        """The name that clients ask for."""
        local = self.weights.local or self.engine is EngineName.LLAMA
        return self.model if local else self.weights.model

    @property
    def expert(self) -> bool:
        return self.layout in {Layout.TENSOR_EXPERT, Layout.EXPERT_DATA}

    @property
    def id(self) -> str:
        """What a server is known by: one of a model and engine runs at a time."""
        return f"{self.model}-{self.engine.value}"
