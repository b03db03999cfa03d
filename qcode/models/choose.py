"""Which model to pull when the user names none."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qcode.errors import ModelFileError
from qcode.models import fetch_hub
from qcode.models.card import ModelCard, Source
from qcode.models.memory import Fit, Memory, fit
from qcode.models.pull import unavailable
from qcode.models.store import is_pulled


@dataclass(frozen=True, slots=True)
class Choice:
    """The model to take and where from (None: it is here already), and the better ones that cannot be had, with why."""

    card: ModelCard
    source: Source | None
    passed_over: tuple[tuple[ModelCard, str], ...] = ()


def candidates(cards: Iterable[ModelCard], memory: Memory) -> list[ModelCard]:
    """Those that fit and run at a usable speed, best first, as they stand in the registry."""
    return [card for card in cards if fit(card, memory) in {Fit.GPU, Fit.CPU}]


def choose(cards: Iterable[ModelCard], memory: Memory, only: Source | None = None) -> Choice:
    """The best model that fits and can be had from here, or from that one source; asks the hubs.

    Raises: ModelFileError when there is none.
    """
    passed_over: list[tuple[ModelCard, str]] = []
    dead: dict[Source, str] = {}
    for card in candidates(cards, memory):
        if is_pulled(card):
            return Choice(card, None, tuple(passed_over))
        source, reason = _first_reachable(card, [only] if only else card.gguf.sources, dead)
        if source is not None:
            return Choice(card, source, tuple(passed_over))
        passed_over.append((card, reason))
    if passed_over:
        card, reason = passed_over[0]
        raise ModelFileError(f"no model can be had from here; for {card.name}: {reason}; or give one with --from PATH")
    raise ModelFileError(
        f"no model fits in the {memory.ram / 1e9:.1f} GB of memory that are free: close programs, or use a server "
        "with --base-url URL"
    )


def _first_reachable(card: ModelCard, sources: Iterable[Source], dead: dict[Source, str]) -> tuple[Source | None, str]:
    """The first source that answers, else why none does; `dead` holds the sources that are out of reach."""
    reasons = []
    for source in sources:
        reason = dead.get(source) or unavailable(source)
        if reason is None and source is not Source.WHEELS:
            try:
                with tempfile.TemporaryDirectory(prefix="qcode-probe-") as folder:
                    fetch_hub.probe(source, card.gguf, card.gguf.files[0], Path(folder))
            except fetch_hub.Unreachable as error:
                reason = dead[source] = error.what
            except ModelFileError as error:
                reason = str(error)
        if reason is None:
            return source, ""
        reasons.append(reason)
    return None, "; ".join(reasons)
