"""Which model answers, in which engine or server, and how it likes to be asked."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qcode.app.options import RunOptions
from qcode.backends.speech import Speech
from qcode.codec.types import Dialect
from qcode.config.paths import cache_dir, state_dir
from qcode.errors import ConfigError
from qcode.model import Reachable, Sampling
from qcode_tools.toolsets import ToolsetName

if TYPE_CHECKING:
    from qcode.models.card import ModelCard
    from qcode.serving.plan import Plan

ANSWER_TOKENS = {"swe": 16_384, "small": 768, "qwen-code": 16_384, "minimal": 16_384}
"""The most that one answer may be, by tool set: a small model that writes more has lost its way."""

SMALLEST_WINDOW = 16_000
"""Tokens: a server that gives less cuts or refuses a task's second or third file."""

PREFILL_S = 7200.0
"""For a server of qcode's own: its supervisor sees when it hangs; a processor reads long for a long prompt."""

SCRIPTED = "scripted:"


@dataclass(frozen=True, slots=True)
class Model:
    """A backend, and how its model likes to be asked."""

    backend: Reachable
    toolset: ToolsetName
    sampling: Sampling


def choose_model(options: RunOptions, task: str = "") -> Model:
    """As `pick_model`, and it begins to load. Needs a running event loop."""
    chosen = pick_model(options, task)
    chosen.backend.start()
    return chosen


def pick_model(options: RunOptions, task: str = "") -> Model:
    """The backend for the model, the server or the engine of the options; without them a server that `qcode serve` has
    started, the best model that is pulled, else a server that already runs on this machine. It blocks.

    Raises: ConfigError, ModelFileError.
    """
    name, url = options.model, options.base_url
    if name is not None and name.startswith(SCRIPTED):
        from qcode.backends.scripted import ScriptedBackend

        toolset = options.tools or "swe"
        file = Path(name.removeprefix(SCRIPTED))
        backend = ScriptedBackend(file, speech=_speech(options, None), window=options.context)
        return Model(backend, toolset, _sampling(options, toolset, None, task))
    if url is None and (served := _served(name, options, task)) is not None:
        return served
    if url is None and name is None and (name := _pulled()) is None:
        if options.offline:
            raise ConfigError("no model is on this machine, and offline no server is looked for: give --base-url URL")
        from qcode.app.running import running_server

        url, name = running_server(options.notice)
    if url is not None:
        return _server(url, name, options, task)
    assert name is not None, "a model or a server was chosen above"
    return _engine(name, options, task)


def _server(url: str, name: str | None, options: RunOptions, task: str) -> Model:
    from qcode.backends.openai_compat import Needs, OpenAIBackend
    from qcode.models.registry import recognise

    card = recognise(name) if name else None
    toolset = options.tools or (card.toolset if card else "swe")
    smallest = 0 if options.small_context else SMALLEST_WINDOW
    needs = Needs(smallest=smallest, wanted=options.context, notice=options.notice)
    key = os.environ.get("QCODE_API_KEY")
    if options.seed is not None:
        from qcode.app.serving import plan_at

        options = _without_deadly_seed(options, plan_at(url))
    backend = OpenAIBackend(
        url, name, api_key=key, retry=options.retry, needs=needs, constrain=options.constrain,
        speech=_speech(options, card),
    )  # fmt: skip
    return Model(backend, toolset, _sampling(options, toolset, card, task))


def _served(name: str | None, options: RunOptions, task: str) -> Model | None:
    """A server of qcode's own: of the engine that was asked for, or the one that is to stay when nothing was."""
    if options.engine is None and name is not None:
        return None
    from qcode.app.serving import served_plan

    plan = served_plan(name, options.engine, options.context, options.notice)
    if plan is None:
        return None
    from qcode.app.serving import lease_for
    from qcode.backends.openai_compat import Needs, OpenAIBackend
    from qcode.backends.openai_compat.client import Timeouts
    from qcode.backends.retry import RetryPolicy
    from qcode.models.registry import find
    from qcode.serving.backend import ServedBackend
    from qcode.serving.command import dialect_of

    options = _without_deadly_seed(options, plan)
    card = find(plan.model)
    toolset = options.tools or card.toolset
    needs = Needs(smallest=0 if options.small_context else SMALLEST_WINDOW, notice=options.notice)
    speech = replace(_speech(options, card), dialect=options.dialect or Dialect(dialect_of(plan)))

    def connect(url: str, model: str, retry: RetryPolicy) -> OpenAIBackend:
        timeouts = Timeouts(first_token_s=PREFILL_S, silence_s=PREFILL_S)
        return OpenAIBackend(
            url, model, retry=retry, needs=needs, constrain=options.constrain, timeouts=timeouts, speech=speech
        )

    backend = ServedBackend(plan, lease_for(plan, fixed_port=False, notice=options.notice), connect=connect)
    return Model(backend, toolset, _sampling(options, toolset, card, task))


def _without_deadly_seed(options: RunOptions, plan: "Plan | None") -> RunOptions:
    """vLLM 0.32: "CPU Generator does not use offset", where a prompt is read in several pieces."""
    if options.seed is None or plan is None or plan.engine != "vllm" or plan.on_gpu:
        return options
    options.notice("vLLM on a processor was seen to end at a request with a seed: it is asked without one")
    return replace(options, seed=None)


def _pulled() -> str | None:
    from qcode.models.registry import load_registry
    from qcode.models.store import is_pulled

    return next((card.name for card in load_registry() if is_pulled(card)), None)


def _engine(name: str, options: RunOptions, task: str) -> Model:
    from qcode.backends.llama.backend import LlamaBackend
    from qcode.backends.llama.settings import MAX_CONTEXT, EngineConfig
    from qcode.models.store import resolve

    file = resolve(name)
    toolset = options.tools or (file.card.toolset if file.card else "swe")
    window = file.card.context.native if file.card else MAX_CONTEXT
    config = EngineConfig(
        model_path=file.path,
        log_path=state_dir() / "logs" / "engine.log",
        context=options.context or min(window, MAX_CONTEXT),
        slots=options.slots,
        seed=options.seed,
        prefix_cache_dir=cache_dir() / "prefixes",
    )
    known_as = file.card.name if file.card else file.path.name
    speech = _speech(options, file.card)
    backend = LlamaBackend(config, name=known_as, constrain=options.constrain, speech=speech)
    return Model(backend, toolset, _sampling(options, toolset, file.card, task))


def sampling_of(options: RunOptions, name: str, toolset: str) -> Sampling:
    """How the model that is called so is asked. Raises: ConfigError for a way of thinking that it does not have."""
    from qcode.models.registry import recognise

    if options.think is False:
        options = replace(options, thinking_budget=None)
    card = recognise(name) if name else None
    if card is None and options.think is not None:
        raise ConfigError(f"it is not known whether {name or 'this model'} can think: begin a session with --think")
    return _sampling(options, toolset, card, "")


def _speech(options: RunOptions, card: "ModelCard | None") -> Speech:
    from qcode.models.card import Mode

    dialect = options.dialect or (Dialect(card.dialect) if card else Dialect.QWEN3_CODER)
    return Speech(dialect, begins_thinking=card is not None and card.modes == (Mode.THINKING,))


def _sampling(options: RunOptions, toolset: str, card: "ModelCard | None", task: str) -> Sampling:
    from qcode.models.thinking import sampling_of

    recommended = sampling_of(card, think=options.think, budget=options.thinking_budget, words=task)
    chosen = {"max_tokens": ANSWER_TOKENS[toolset], "temperature": options.temperature, "seed": options.seed}
    return recommended.model_copy(update={k: v for k, v in chosen.items() if v is not None})
