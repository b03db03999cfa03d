"""What the engine is started with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Speculation = Literal["off", "ngram", "auto"]
"""Prompt lookup: guess the next tokens by copying what followed the same words earlier. "auto" is on: it was measured
faster on a processor (engine.GUESS), and a GPU checks a guess for nearly nothing."""

MAX_CONTEXT = 32_768
"""Tokens of context that are taken when nobody asks for more: the cache of a 30B model for them is about 3 GiB."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Model file, memory and patience of one engine. Times in seconds, sizes in tokens."""

    model_path: Path
    log_path: Path
    """Where the engine's own chatter goes; made private to the user."""
    context: int = MAX_CONTEXT
    """Window of each slot; memory grows with context times slots."""
    slots: int = 1
    """How many answers are written at the same time; further requests wait their turn."""
    threads: int | None = None
    gpu_layers: int = -1
    """How many layers a GPU build puts on the GPU; -1 is as many as fit."""
    seed: int | None = None
    """For requests that bring none of their own."""
    speculation: Speculation = "auto"
    prefix_cache_dir: Path | None = None
    """Where the evaluated start of a prompt (system and tools) is kept between runs; None keeps nothing."""
    batch: int | None = None
    """Tokens that are evaluated at once: the grain of progress and of cancelling while the prompt is read."""
    reserve: int = 1024
    """Room that must be left for an answer, or the request is refused as too long."""
    load_limit_s: float = 900.0
    silence_limit_s: float = 300.0
    """Without a token or progress for so long, the engine counts as hung and is started again."""
