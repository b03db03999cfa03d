"""Servers for the command line and for runs: which model, which plan, whose lease."""

import os
from collections.abc import Callable
from pathlib import Path

from qcode.config.settings import Settings
from qcode.errors import ConfigError, ModelFileError, QcodeError
from qcode.models.card import ModelCard
from qcode.models.registry import find, load_registry, recognise
from qcode.models.store import is_pulled, resolve
from qcode.serving.client import Lease
from qcode.serving.command import router_program
from qcode.serving.environment import how_to_get, version_of
from qcode.serving.hardware import Machine, detect
from qcode.serving.plan import Plan, Wish
from qcode.serving.planning import make_plan
from qcode.serving.profiles import EngineName, engine_profile
from qcode.serving.state import folder_of, running
from qcode.serving.supervisor import Instruction

LINGER_VARIABLE = "QCODE_SERVER_LINGER"
"""Seconds that a server which a run has started waits for another user; loading it again takes minutes."""
_LINGER_S = 600.0


def default_model(machine: Machine, engine: EngineName | None) -> ModelCard:
    """The best model that fits; without GPUs, or for llama.cpp, of those that are pulled. Raises: ConfigError."""
    for card in load_registry():
        try:
            plan = make_plan(Wish(card=card, engine=engine), machine)
        except QcodeError:
            continue
        if plan.engine is not EngineName.LLAMA or is_pulled(card):
            return card
    raise ConfigError("no model that fits is on this machine: run `qcode models pull`, or name one to serve")


def weights_to_serve(settings: Settings, machine: Machine, engine: EngineName | None) -> tuple[ModelCard, Path | None]:
    """The model of the settings, and its file where they name one; without one the best that fits.

    Beside a `base_url` the model is what that server calls it. Raises: ConfigError, ModelFileError.
    """
    name = settings.model
    if name is None or name.startswith("scripted:"):
        return default_model(machine, engine), None
    if settings.base_url is not None:
        return recognise(name) or default_model(machine, engine), None
    if Path(name).suffix.casefold() != ".gguf":
        return find(name), None
    file = resolve(name)
    if file.card is None:
        raise ConfigError(f"{name} does not say which model it is: qcode serve MODEL --weights {name}")
    return file.card, file.path


def plan_for(wish: Wish) -> Plan:
    """The plan for this machine, with all that it needs at hand. Raises: ConfigError, ModelFileError."""
    plan = make_plan(wish, detect())
    general = engine_profile(plan.engine)
    if plan.python is None and plan.program is None:
        raise ConfigError(f"{general.title} was not found: {how_to_get(plan.engine)}")
    version = version_of(plan.engine, plan.python) if plan.python and general.minimum else None
    if version is not None and version < tuple(map(int, general.minimum.split("."))):
        found = ".".join(map(str, version))
        raise ConfigError(
            f"{general.title} {found} in {plan.python} is too old: {general.minimum} is the first that serves "
            "these models"
        )
    if plan.engine is EngineName.LLAMA and wish.folder is None and not is_pulled(wish.card):
        raise ModelFileError(f"model {plan.model} is not on this machine: run `qcode models pull {plan.model}`")
    if plan.replicas > 1 and router_program(plan) is None:
        raise ConfigError("--replicas needs vLLM's router: pip install vllm-router, into the environment of vLLM")
    if plan.nodes > 1 and plan.head == "HEAD_ADDRESS":
        raise ConfigError("--nodes needs --head ADDRESS, where the other machines reach this one (or --dry-run)")
    return plan


def served_plan(
    name: str | None, engine: str | None, context: int | None, notice: Callable[[str], None]
) -> Plan | None:
    """What a run uses: the server that runs already, or a new one where an engine was asked for.

    None where neither is so. Raises: ConfigError, ModelFileError.
    """
    if engine is None:
        kept = [(folder, record) for folder, record in running() if folder.keep.exists() and folder.plan() is not None]
        if not kept:
            return None
        folder, record = kept[0]
        notice(f"using {record.title}, which `qcode serve` keeps at {record.base_url}")
        return folder.plan()
    wanted = EngineName(engine)
    card = find(name) if name else default_model(detect(), wanted)
    for folder, record in running():
        if (record.model, record.engine) == (card.name, engine) and (plan := folder.plan()) is not None:
            if context not in {None, record.context}:
                raise ConfigError(
                    f"{folder.id} runs with a window of {record.context} tokens: `qcode serve stop {folder.id}` first, "
                    f"or leave out --context"
                )
            return plan
    return plan_for(Wish(card=card, engine=wanted, context=context))


def plan_at(url: str) -> Plan | None:
    """That of the server which `qcode serve` runs at this address, if it is one of those."""
    return next((folder.plan() for folder, record in running() if record.base_url == url.rstrip("/")), None)


def lease_for(plan: Plan, *, fixed_port: bool, notice: Callable[[str], None]) -> Lease:
    """The right to use the plan's server, which is started when it is first waited for. Raises: ConfigError."""
    text = os.environ.get(LINGER_VARIABLE) or str(_LINGER_S)
    try:
        linger_s = float(text)
    except ValueError:
        raise ConfigError(f"{LINGER_VARIABLE} must be a number of seconds, not {text!r}") from None
    return Lease(folder_of(plan.id), Instruction(plan=plan, fixed_port=fixed_port, linger_s=linger_s), notice)
