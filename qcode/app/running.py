"""The server that is used when nobody names a model: one that already runs on this machine."""

import os
from collections.abc import Callable

from qcode.backends.openai_compat.scan import running
from qcode.backends.openai_compat.servers import PORTS
from qcode.errors import ConfigError
from qcode.models.registry import load_registry, recognise

PORTS_VARIABLE = "QCODE_PORTS"
"""Where servers are looked for on this machine: ports with commas between them; empty is nowhere."""

NOTHING = "no model is on this machine: run `qcode models pull`, or give --base-url URL"


def ports() -> tuple[int, ...]:
    """The ports to look at. Raises: ConfigError."""
    listed = os.environ.get(PORTS_VARIABLE)
    if listed is None:
        return tuple(PORTS.values())
    try:
        return tuple(int(port) for port in listed.split(",") if port.strip())
    except ValueError:
        raise ConfigError(f"{PORTS_VARIABLE} must be ports with commas between them, not {listed!r}") from None


def running_server(notice: Callable[[str], None]) -> tuple[str, str]:
    """URL and model of the best that answers, the first of the registry's order, and a line about it for the user.

    Raises: ConfigError where nothing runs.
    """
    order = {card.name: place for place, card in enumerate(load_registry())}
    choices = []
    for found in running(ports()):
        for model in found.models:
            card = recognise(model)
            choices.append((order[card.name] if card else len(order), found, model))
    if not choices:
        raise ConfigError(NOTHING)
    _, found, model = min(choices, key=lambda choice: choice[0])
    notice(f"no model is pulled: using {model} of the server ({found.server}) at {found.url}")
    return found.url, model
