"""Whether a model thinks before it answers, and how it is sampled then.

The hybrid models of the Qwen3 family do both: the chat template's `enable_thinking` sets it for a conversation, and
`/think` or `/no_think` in the user's words, the last one counts, for what follows them (model card of Qwen3-32B).
"""

import re

from qcode.errors import ConfigError
from qcode.model import Sampling, Thinking
from qcode.models.card import Mode, ModelCard

_SWITCH = re.compile(r"(?<!\S)/(no_)?think(?!\S)")


def asked_in_words(text: str) -> bool | None:
    """What the user's words switch to, None where they hold no switch."""
    switches = _SWITCH.findall(text)
    return not switches[-1] if switches else None


def sampling_of(card: ModelCard | None, *, think: bool | None, budget: int | None, words: str = "") -> Sampling:
    """The recommended sampling of the mode that was asked for: by an option, else by a switch in `words`, else the
    model's own default.

    Of a model that is not in the registry nothing is known, so it is asked as the user says. Raises: ConfigError for a
    mode that the model does not have.
    """
    if budget is not None:
        if think is False:
            raise ConfigError("--no-think leaves nothing for --thinking-budget: give one of them")
        think = True
    if card is None:
        return Sampling(thinking=None if think is None else Thinking(enabled=think, budget=budget))
    if len(card.modes) == 1:
        only = card.modes[0]
        if think is not None and think != (only is Mode.THINKING):
            never = "always thinks: --no-think" if only is Mode.THINKING else "does not think: --think"
            raise ConfigError(f"{card.name} {never} has no meaning for it")
        thinking = Thinking(enabled=True, budget=budget) if only is Mode.THINKING else None
        return card.sampling_for(only).model_copy(update={"thinking": thinking})
    if think is None:
        think = asked_in_words(words)
    if think is None:
        think = card.default_mode is Mode.THINKING
    chosen = card.sampling_for(Mode.THINKING if think else Mode.NON_THINKING)
    return chosen.model_copy(update={"thinking": Thinking(enabled=think, budget=budget)})
