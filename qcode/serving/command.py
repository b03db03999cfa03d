"""The commands of a plan: every word with its reason. What a model card publishes comes out word for word."""

import json
import shlex
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from string import Template

from qcode.messages import Frozen
from qcode.models.card import Mode, ModelCard
from qcode.models.registry import find
from qcode.serving.plan import Plan
from qcode.serving.profiles import (
    EngineName,
    EngineProfile,
    Hub,
    Layout,
    Profile,
    Published,
    Setting,
    Speculation,
    engine_profile,
    profile_for,
)

ROUTER = "vllm-router"
RAY_PORT = 6379


class Reason(Frozen):
    """One flag or variable as it is passed, and why."""

    name: str
    value: str | None
    why: str


class Launch(Frozen):
    """One command. `rank` counts nodes or replicas from 0; `here` is False for what another machine has to run."""

    role: str
    rank: int = 0
    here: bool = True
    environment: dict[str, str] = {}
    argv: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()
    port: int | None = None

    @property
    def text(self) -> str:
        """As a shell takes it."""
        words = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*words, *map(shlex.quote, self.argv)])


def launches(plan: Plan) -> tuple[Launch, ...]:
    """All commands, in the order in which they are run."""
    if plan.replicas > 1:
        servers = [_server(plan, rank=rank, port=plan.port + 1 + rank) for rank in range(plan.replicas)]
        return (*servers, _router(plan, servers))
    if plan.nodes == 1:
        return (_server(plan),)
    if plan.cluster == "ray" and plan.engine is EngineName.VLLM:
        return (*_ray(plan), _server(plan))
    return tuple(_server(plan, rank=rank, here=rank == 0) for rank in range(plan.nodes))


def dialect_of(plan: Plan) -> str:
    """The form in which the server reads calls, by the name that the registry has for it: that of the parser that it is
    started with, where it is one of ours, else the model's own."""
    general, profile, card = engine_profile(plan.engine), profile_for(plan.model, plan.engine), find(plan.model)
    parser = profile.tool_parser or general.tool_parsers.get(card.dialect, "")
    for word, after in pairwise(plan.extra):
        parser = after if word == "--tool-call-parser" else parser
    return next((form for form, name in general.tool_parsers.items() if name == parser), card.dialect)


def published(card: ModelCard, engine: EngineName, hub: Hub, speculation: Speculation) -> str | None:
    """The model card's own command, for the hub and speculation; None where the card has none."""
    general, profile = engine_profile(engine), profile_for(card.name, engine)
    template = _published(profile, speculation)
    if template is None:
        return None
    names = _card_names(card, general, profile)
    environment = {
        name: value for name, value in template.environment.items() if "MODELSCOPE" not in name or hub == "modelscope"
    }
    words = [f"{name}={value}" for name, value in environment.items()]
    return " ".join([*words, Template(template.command).substitute(names).strip()])


def _server(plan: Plan, *, rank: int = 0, port: int | None = None, here: bool = True) -> Launch:
    general, profile = engine_profile(plan.engine), profile_for(plan.model, plan.engine)
    facts = _facts(plan, profile, rank=rank)
    names = _names(plan, general, profile, rank=rank, port=port or plan.port)
    reasons = _reasons(general.flag, facts, names, spelled=_spelling(plan, profile))
    variables = _reasons(general.variable, facts, names)
    words = [word for reason in reasons for word in (reason.name, reason.value) if word is not None]
    return Launch(
        role="server",
        rank=rank,
        here=here,
        environment={reason.name: reason.value or "" for reason in variables},
        argv=(*_program(plan, general, own_nodes="own-nodes" in facts), *words, *plan.extra),
        reasons=(*variables, *reasons, *_asked_for(plan.extra)),
        port=port or plan.port,
    )


def _asked_for(words: tuple[str, ...]) -> Iterator[Reason]:
    for word, after in pairwise((*words, "--")):
        if word.startswith("--"):
            yield Reason(name=word, value=None if after.startswith("--") else after, why="asked for")


def _program(plan: Plan, general: EngineProfile, *, own_nodes: bool) -> tuple[str, ...]:
    if plan.program is not None:
        return (plan.program,)
    python = plan.python or "python"
    if plan.engine is EngineName.VLLM and own_nodes and general.node_module:
        # Ranks without a server are started by the command line's own entry only.
        return (python, "-P", "-m", general.node_module, "serve", plan.weights.model)
    head = (python, "-P", "-m", general.module)
    return (*head, "--model", plan.weights.model) if plan.engine is EngineName.VLLM else head


def _facts(plan: Plan, profile: Profile, *, rank: int) -> set[str]:
    card = find(plan.model)
    own = plan.nodes > 1 and not (plan.cluster == "ray" and plan.engine is EngineName.VLLM)
    holding = {
        plan.hub: not plan.weights.local,
        "local": plan.nodes == 1 or plan.engine is EngineName.VLLM,
        "folder": plan.weights.local,
        "offline": plan.offline,
        "gpu": plan.on_gpu,
        "cpu": not plan.on_gpu,
        "few-processors": plan.threads > 0,
        "some": plan.on_gpu and plan.nodes == 1 and len(plan.gpus) < plan.gpu_count,
        "tensor": plan.tensor > 1,
        "expert": plan.expert,
        "data": plan.data > 1,
        "pipeline": plan.pipeline > 1,
        "nodes": plan.nodes > 1,
        "ray": plan.nodes > 1 and not own,
        "own-nodes": own,
        "worker": rank > 0,
        "long": profile.long or plan.factor > 1,
        "yarn": plan.factor > 1,
        "tools": True,
        "reasoning": Mode.THINKING in card.modes,
        plan.speculation: True,
    }
    return {name for name, holds in holding.items() if holds}


def _names(plan: Plan, general: EngineProfile, profile: Profile, *, rank: int, port: int) -> dict[str, str]:
    card = find(plan.model)
    local = plan.data // plan.nodes
    first = rank * len(plan.gpus) if plan.replicas > 1 else 0
    devices = range(first, first + len(plan.gpus)) if plan.replicas > 1 else plan.gpus
    return {
        "model": plan.weights.model,
        "served": plan.served,
        "port": str(port),
        "tensor": str(plan.tensor),
        "world": str(plan.tensor * plan.pipeline),
        "data": str(plan.data),
        "pipeline": str(plan.pipeline),
        "nodes": str(plan.nodes),
        "rank": str(rank),
        "head": plan.head,
        "local": str(local),
        "start": str(rank * local),
        "context": str(plan.context),
        "cells": str(plan.context * plan.slots),
        "slots": str(plan.slots),
        "context_why": plan.context_why,
        "utilisation": f"{plan.utilisation:g}",
        "cache_gib": str(plan.cache_gib),
        "threads": str(plan.threads),
        "devices": ",".join(map(str, devices)),
        "native": str(plan.native),
        "factor": f"{plan.factor:.1f}",
        "rope_theta": json.dumps(card.architecture.rope_theta),
        "tool_parser": profile.tool_parser or general.tool_parsers.get(card.dialect, ""),
        "reasoning_parser": profile.reasoning_parser or general.reasoning_parser,
    }


def _reasons(
    settings: tuple[Setting, ...], facts: set[str], names: dict[str, str], *, spelled: tuple[str, ...] = ()
) -> tuple[Reason, ...]:
    """Those whose facts hold: first those that the model card names, in its order and spelling, then the others."""

    def place(setting: Setting) -> int:
        found = [spelled.index(name) for name in (setting.name, *setting.aliases) if name in spelled]
        return found[0] if found else len(spelled)

    holding = [setting for setting in settings if facts.issuperset(setting.when)]
    return tuple(
        Reason(
            name=next((name for name in setting.aliases if name in spelled), setting.name),
            value=None if setting.value is None else Template(setting.value).substitute(names),
            why=Template(setting.why).substitute(names),
        )
        for setting in sorted(holding, key=place)
    )


def _spelling(plan: Plan, profile: Profile) -> tuple[str, ...]:
    template = _published(profile, plan.speculation)
    return tuple(word for word in template.command.split() if word.startswith("--")) if template else ()


def _published(profile: Profile, speculation: Speculation) -> Published | None:
    return next((each for each in profile.published if each.speculation in {None, speculation}), None)


def _card_names(card: ModelCard, general: EngineProfile, profile: Profile) -> dict[str, str]:
    repositories = card.repositories
    model = repositories.fp8 if profile.weights[0] == "fp8" and repositories.fp8 else repositories.huggingface
    return {
        "model": model,
        "gpus": str(profile.gpus),
        "native": str(card.context.native),
        "default_port": str(general.port),
    }


def _ray(plan: Plan) -> tuple[Launch, ...]:
    """A cluster of the machines; `--num-gpus` keeps Ray from counting others than the plan's."""
    program = ("ray", "start")
    gpus = f"--num-gpus={len(plan.gpus)}"
    head = Launch(
        role="ray",
        here=True,
        argv=(*program, "--head", f"--node-ip-address={plan.head}", f"--port={RAY_PORT}", gpus),
        reasons=(Reason(name="--head", value=None, why="the first machine leads the cluster"),),
    )
    others = (
        Launch(
            role="ray",
            rank=rank,
            here=False,
            argv=(*program, f"--address={plan.head}:{RAY_PORT}", gpus),
            reasons=(Reason(name="--address", value=None, why=f"machine {rank} joins the first"),),
        )
        for rank in range(1, plan.nodes)
    )
    return (head, *others)


def _router(plan: Plan, servers: list[Launch]) -> Launch:
    reasons = (
        Reason(name="--host", value="127.0.0.1", why="only programs on this machine can ask it"),
        Reason(name="--port", value=str(plan.port), why="the one address of all replicas"),
        Reason(name="--policy", value="sticky_least_loaded", why="a session stays where its prompt was read before"),
        Reason(name="--worker-startup-timeout-secs", value="86400", why="however long the replicas load"),
        Reason(name="--worker-startup-check-interval", value="2", why="ready soon after they are"),
        Reason(name="--health-check-interval-secs", value="10", why="a replica that is gone is noticed soon"),
        Reason(name="--request-timeout-secs", value="86400", why="long answers are not cut: qcode knows a hang"),
        Reason(
            name="--prometheus-port", value=str(plan.port + plan.replicas + 1), why="one of its own for each router"
        ),
    )
    words = [word for reason in reasons for word in (reason.name, reason.value) if word is not None]
    urls = [f"http://127.0.0.1:{server.port}" for server in servers]
    program = router_program(plan) or ROUTER
    return Launch(role="router", argv=(program, *words, "--worker-urls", *urls), reasons=reasons, port=plan.port)


def router_program(plan: Plan) -> str | None:
    """Where the router is: beside the engine's interpreter, or on PATH."""
    beside = str(Path(plan.python).parent) if plan.python else ""
    return shutil.which(ROUTER, path=beside) or shutil.which(ROUTER)


def layout_words(plan: Plan) -> str:
    """How the model is shared out, for people."""
    if not plan.on_gpu:
        return "main memory and processors"
    parts = [f"{len(plan.gpus)} GPUs" if len(plan.gpus) > 1 else "one GPU"]
    if plan.layout is Layout.EXPERT_DATA:
        parts.append("each a rank of its own, sharing the experts")
    elif plan.layout is Layout.TENSOR_EXPERT:
        parts.append("sharing every layer, experts whole")
    elif plan.layout is Layout.TENSOR:
        parts.append("sharing every layer")
    if plan.nodes > 1:
        parts.append(f"on each of {plan.nodes} machines")
    if plan.replicas > 1:
        parts.append(f"for each of {plan.replicas} replicas")
    return ", ".join(parts)
