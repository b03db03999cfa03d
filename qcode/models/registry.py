"""The registry of models: a data file of the package, read once."""

import difflib
import re
import tomllib
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from qcode.errors import ConfigError
from qcode.models.card import ModelCard

REGISTRY_FILE = Path(__file__).with_name("registry.toml")


@lru_cache(maxsize=1)
def load_registry() -> tuple[ModelCard, ...]:
    """Every model, best for coding first."""
    with REGISTRY_FILE.open("rb") as file:
        tables = tomllib.load(file)["model"]
    return TypeAdapter(tuple[ModelCard, ...]).validate_python(tables)


def lookup(name: str) -> ModelCard | None:
    """The model of that name, title or repository name, in any case; None when there is none."""
    wanted = name.casefold()
    for card in load_registry():
        if wanted in {card.name, card.title.casefold(), card.repositories.huggingface.casefold()}:
            return card
    return None


def recognise(name: str) -> ModelCard | None:
    """The model that a server means by that name: a path, `qwen3-coder:30b`, `Qwen3-Coder-30B-A3B-Instruct-FP8`.

    None where it could be several. What follows a model's own name there (quantisation, format) is passed over.
    """
    if (card := lookup(name) or card_of_file(Path(name))) is not None:
        return card
    bare = re.sub(r"^qcode/(.*)-\d+$", r"\1", name.casefold())
    words = [word for word in re.split(r"[^a-z0-9.]+", Path(bare).name.removesuffix(".gguf")) if word]
    best: dict[str, int] = {}
    for card in load_registry():
        own = card.name.split("-")
        matched = sum(1 for a, b in zip(words, own, strict=False) if a == b)
        # Either all of the model's own name, or a shorter name for it, such as qwen3-coder:30b.
        if matched == len(own) or (matched == len(words) >= 2):
            best[card.name] = matched
    most = [name for name, matched in best.items() if matched == max(best.values())]
    return lookup(most[0]) if len(most) == 1 else None


def find(name: str) -> ModelCard:
    """The model of that name. Raises: ConfigError with the closest name."""
    card = lookup(name)
    if card is not None:
        return card
    close = difflib.get_close_matches(name.casefold(), [each.name for each in load_registry()], n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ConfigError(f"no model is called {name!r}{hint}; see `qcode models list`")


def card_of_file(path: Path) -> ModelCard | None:
    """The model that has a file of that name, so that a file fetched by hand is driven as it should be."""
    wanted = path.name.casefold()
    for card in load_registry():
        if any(file.name.casefold() == wanted for file in card.gguf.files):
            return card
    return None
