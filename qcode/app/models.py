"""The models that a session can change to: which there are, and what words mean which."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from qcode.app.model_choice import SCRIPTED, Model, pick_model, sampling_of
from qcode.app.model_in_use import ModelInUse, in_use
from qcode.app.options import RunOptions
from qcode.errors import ConfigError
from qcode.model import Reachable, Sampling

ENGINES: tuple[Literal["vllm", "sglang", "llama-server"], ...] = ("vllm", "sglang", "llama-server")

FORMS = "NAME, FILE.gguf, URL [NAME], scripted:FILE, or vllm, sglang or llama-server [NAME] for a server of qcode's own"
"""What /model takes."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A model that can answer: `words` name it for `Models.pick`, `about` says where it is."""

    words: str
    about: str


@dataclass(frozen=True, slots=True)
class Picked:
    """A model that nobody waits for yet, and the options that mean it."""

    options: RunOptions
    backend: Reachable
    model: ModelInUse


class Models:
    """`options` are those of the session; what of them is the present model's own does not count for another one."""

    def __init__(self, options: RunOptions, *, reaching: bool) -> None:
        self._options = options
        self._reaching = reaching

    def settled(self, picked: Picked) -> None:
        """That one answers from now on."""
        self._options = picked.options

    def pick(self, words: str) -> Picked:
        """The model that the words name; nothing of it is started. It blocks. Raises: ConfigError, ModelFileError."""
        from qcode.config.offline import admit

        options = self._meant(words)
        admit(options.base_url, own_server=options.engine is not None)
        chosen = self._chosen(options)
        return Picked(options, chosen.backend, in_use(chosen, reaching=self._reaching))

    def sampling(self, model: str, toolset: str, *, think: bool) -> Sampling:
        """How the model of that name, which answers now, is asked when it thinks or does not.

        Raises: ConfigError where it cannot.
        """
        chosen = sampling_of(replace(self._options, think=think), model, toolset)
        self._options = replace(self._options, think=think)
        return chosen

    def offered(self) -> list[Offered]:
        """All that are at hand: pulled models, servers of qcode's own, others that run on this machine. It blocks."""
        return [*_pulled(), *self._served(), *self._running()]

    def _chosen(self, options: RunOptions) -> Model:
        try:
            return pick_model(options)
        except ConfigError:
            if options.think is None and options.thinking_budget is None:
                raise
        # Said for the model that was: another one may not think, or not otherwise.
        return pick_model(replace(options, think=None, thinking_budget=None))

    def _meant(self, words: str) -> RunOptions:
        first, _, rest = words.strip().partition(" ")
        rest = rest.strip()
        blank = replace(self._options, model=None, base_url=None, engine=None, dialect=None)
        if first.startswith(("http://", "https://")):
            return replace(blank, base_url=first, model=rest or None)
        for engine in ENGINES:
            if first == engine:
                return replace(blank, engine=engine, model=rest or None)
        if not words.strip():
            raise ConfigError(f"/model takes {FORMS}")
        name = words.strip()
        if not name.startswith(SCRIPTED) and (url := self._server_of(name)) is not None:
            return replace(blank, base_url=url, model=name)
        return replace(blank, model=name)

    def _server_of(self, name: str) -> str | None:
        """The server of this machine that has a model of exactly that name, where it is none of this machine's."""
        from qcode.models.registry import lookup
        from qcode.models.store import is_pulled

        card = lookup(name)
        if (card is not None and is_pulled(card)) or Path(name).expanduser().exists():
            return None
        return next((one.words.partition(" ")[0] for one in self._running() if one.words.endswith(f" {name}")), None)

    def _served(self) -> Iterator[Offered]:
        from qcode.serving.state import running

        for _, record in running():
            yield Offered(f"{record.engine} {record.model}", f"served by qcode at {record.base_url}")

    def _running(self) -> Iterator[Offered]:
        if self._options.offline:
            return
        from qcode.app.running import ports
        from qcode.backends.openai_compat.scan import running

        for found in running(ports()):
            for model in found.models:
                yield Offered(f"{found.url} {model}", f"server ({found.server})")


def _pulled() -> Iterator[Offered]:
    from qcode.models.memory import bytes_needed, detect_memory, fit
    from qcode.models.registry import load_registry
    from qcode.models.store import is_pulled

    memory = detect_memory()
    fits = {"gpu": "fits the GPU", "cpu": "fits the memory", "slow": "runs slowly", "no": "does not fit the memory"}
    for card in load_registry():
        if is_pulled(card):
            needed = f"{bytes_needed(card) / 1e9:.1f} GB of memory, {fits[fit(card, memory)]}"
            yield Offered(card.name, f"in this process: {card.context.native // 1024}k window, {needed}")
