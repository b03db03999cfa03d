"""The product as an agent: the loop of `qcode run` in the instance's container, with one backend for all attempts."""

import os
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qcode.agent.limits import Limits
from qcode.agent.profile import PROFILES
from qcode.app.attempts import AttemptEvent
from qcode.app.best_of import best_of
from qcode.app.model_choice import SCRIPTED, Model, choose_model
from qcode.app.options import RunOptions
from qcode.app.solve import Outcome, Solve
from qcode.backends.retry import RetryPolicy
from qcode.deltas import Retrying
from qcode.errors import BackendError
from qcode.events import AssistantDone, Event, Reason, ToolFinished
from qcode.models.store import resolve
from qcode_evals.agents.protocol import Place, Prediction
from qcode_evals.environments.opening import OpenBox
from qcode_evals.server.inflight import NEVER, InFlight, Limited, Places, in_flight
from qcode_evals.server.looking import look_at
from qcode_evals.server.presence import UNWATCHED, Watch
from qcode_evals.tasks.dataset import Instance
from qcode_sandbox.errors import SandboxError
from qcode_tools.toolsets import build_toolset

_NOTES = "attempts.jsonl"


@dataclass
class _Spent:
    """Seconds of an attempt, summed over its events: what the model read, what it wrote, what tools took. `failed` is
    why the model was last asked again."""

    prefill: float = 0.0
    decode: float = 0.0
    tools: float = 0.0
    oom_kills: int = 0
    failed: str = ""

    def add(self, event: Event) -> None:
        match event:
            case AssistantDone(seconds=seconds, first_token_s=first):
                reading = min(first if first is not None else 0.0, seconds)
                self.prefill += reading
                self.decode += seconds - reading
            case Retrying(error=error):
                self.failed = error
            case ToolFinished(result=result, seconds=seconds):
                self.tools += seconds
                self.oom_kills += bool(result.extra.get("oom_killed"))


@dataclass(frozen=True, slots=True)
class Product:
    """qcode. All attempts send the same first part of the prompt to the one backend, which keeps it cached between
    them; a scripted model begins anew with each."""

    chosen: Model
    options: RunOptions
    attempts: int = 1
    """At each task; the best of them is taken."""
    file: str = ""
    """Name and size of the model's file, which hold its quantisation; "" where a server has it."""
    watch: Watch = UNWATCHED
    places: Places | None = None
    limits: Limits = field(init=False)
    name: str = "qcode"
    grades_empty: bool = False

    def __post_init__(self) -> None:
        options = self.options
        limits = Limits(max_turns=options.max_turns, max_tokens=options.max_tokens, max_seconds=options.max_seconds)
        object.__setattr__(self, "limits", limits)

    @property
    def model(self) -> str:
        """The backend's name for the model."""
        return self.chosen.backend.info.model

    @property
    def settings(self) -> dict[str, Any]:
        """Engine, model file, tools, sampling and limits."""
        info = self.chosen.backend.info
        return {
            "engine": info.engine,
            "file": self.file,
            "toolset": self.chosen.toolset,
            "sampling": self.chosen.sampling.model_dump(mode="json"),
            "max_turns": self.limits.max_turns,
            "max_tokens": self.limits.max_tokens,
            "max_seconds": self.limits.max_seconds,
            **({"attempts": self.attempts} if self.attempts > 1 else {}),
        }

    async def ready(self) -> None:
        """Ask the server what it is; of a model in this process that is known before it is loaded.

        Raises: BackendError.
        """
        if not self.file:
            await self.chosen.backend.ready()

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        """Give it the problem statement, and nothing else of the row. Raises: SandboxError, BackendError."""
        chosen = self._model(place.repeat)
        solve = Solve(
            task=instance.problem_statement,
            backend=chosen.backend,
            open_sandbox=open_box,
            sandbox_name="docker",
            toolset=build_toolset(chosen.toolset),
            profile=PROFILES[chosen.toolset],
            limits=self.limits,
            sampling=chosen.sampling,
            cwd=Path(instance.environment.workdir),
            session_dir=place.folder,
        )
        spent = _Spent()
        outcome = await self._run(solve, spent)
        if isinstance(outcome.error, SandboxError | BackendError):
            raise outcome.error
        # Where the server was away, time that ran out is not the agent's, nor a best of which some had no model.
        hurt = self.attempts > 1 or outcome.reason is Reason.MAX_SECONDS
        return replace(_prediction(outcome, spent), starved=spent.failed if hurt else "")

    async def _run(self, solve: Solve, spent: _Spent) -> Outcome:
        """One attempt, or the best of several, chosen by what can be known without the row's tests."""
        if self.attempts == 1:
            async with aclosing(solve.events()) as events:
                async for event in events:
                    spent.add(event)
            outcome = solve.outcome
        else:
            if solve.session_dir is not None:
                # Of an attempt that was broken off, and is made again.
                (solve.session_dir / _NOTES).unlink(missing_ok=True)
            several = best_of(solve, self.attempts, verify=None, watch=lambda _, event: spent.add(event))
            async with aclosing(several.events()) as told:
                async for said in told:
                    _note(solve, said)
            outcome = several.outcome
        assert outcome is not None, "a run that was read to its end has an outcome"
        return outcome

    def _model(self, repeat: int) -> Model:
        chosen = choose_model(self.options) if (self.options.model or "").startswith(SCRIPTED) else self.chosen
        seed = chosen.sampling.seed
        if seed is None or not repeat:
            return chosen
        return replace(chosen, sampling=chosen.sampling.model_copy(update={"seed": seed + repeat * self.attempts}))

    async def aclose(self) -> None:
        """End the backend."""
        await self.watch.aclose()
        await self.chosen.backend.aclose()


def _prediction(outcome: Outcome, spent: _Spent) -> Prediction:
    return Prediction(
        patch=outcome.patch,
        stop_reason=outcome.reason.value,
        limited=outcome.reason.is_limit,
        error=str(outcome.error) if outcome.error is not None else "",
        usage=outcome.usage,
        steps=outcome.steps,
        prefill_s=round(spent.prefill, 3),
        decode_s=round(spent.decode, 3),
        tools_s=round(spent.tools, 3),
        oom_kills=spent.oom_kills,
        trajectory=outcome.session,
    )


def product(
    options: RunOptions, *, requests: int, attempts: int = 1, tuned: bool = False, places: Places | None = None
) -> Product:
    """Start the model that the options ask for; at most `requests` of all attempts are with it at a time. If it is a
    server's, they may be `tuned` to it, or have `places` that others have too.

    Raises: ConfigError, ModelFileError.
    """
    chosen = choose_model(replace(options, retry=NEVER))
    backend, info, key = chosen.backend, chosen.backend.info, os.environ.get("QCODE_API_KEY")
    watch = Watch(look_at(backend, key))
    served, restarted = "base_url" in info.details, "server" in info.details
    if places is None or not served:
        # A server of qcode's own has no key, and its address is known when it is ready.
        url, known = (lambda: backend.info.details["base_url"]), None if restarted else key
        places = in_flight(requests, base_url=url, key=known) if tuned and served else InFlight(requests)
    retry = options.retry or RetryPolicy() if served and not restarted else NEVER
    limited = replace(chosen, backend=Limited(backend, places, watch, retry=retry))
    file = _file(info.model if options.model is None else options.model) if info.engine == "llama.cpp" else ""
    return Product(limited, options, attempts, file, watch, places)


def _note(solve: Solve, event: AttemptEvent) -> None:
    """Keep what was told of the attempts beside their sessions."""
    if solve.session_dir is not None:
        solve.session_dir.mkdir(parents=True, exist_ok=True)
        with (solve.session_dir / _NOTES).open("a", encoding="utf-8") as file:
            file.write(event.model_dump_json() + "\n")


def _file(model: str) -> str:
    path = resolve(model).path
    return f"{path.name} {path.stat().st_size}"
