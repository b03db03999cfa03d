"""Any command-line coding agent in an instance's box: its program beside the tree, its model behind an endpoint.

It gets what qcode gets: the problem statement, the model, and the same limits. Turns and tokens are limited where they
are counted, so that an agent that knows no such limit has one. The patch is taken by our git.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qcode.agent.limits import Limits
from qcode.errors import ConfigError, Unavailable
from qcode_evals.agents.command.definition import FOLDER, Definition, filled
from qcode_evals.agents.command.endpoint import Endpoint, Model
from qcode_evals.agents.command.installing import agent_tag, installed
from qcode_evals.agents.command.tally import Tally
from qcode_evals.agents.protocol import Place, Prediction
from qcode_evals.environments.opening import Fittings, OpenBox
from qcode_evals.server.inflight import InFlight, Places, in_flight
from qcode_evals.server.looking import look_over_http
from qcode_evals.server.presence import Watch
from qcode_evals.tasks.dataset import Instance
from qcode_sandbox.protocol import ExecResult, Sandbox
from qcode_sandbox.service import Service

TASK_FILE = "/tmp/task.md"
_DIALOGUE, _OUTPUT = "dialogue.jsonl", "agent.log"
_UNLIMITED_S = 4 * 3600.0
"""For an agent without --max-seconds: it must end some time."""
_WORDS = 300


@dataclass(frozen=True)
class CommandAgent:
    """Implements `Agent` for a definition."""

    definition: Definition
    served: Model
    limits: Limits
    on_line: Callable[[str], None] = print
    grades_empty: bool = False
    _volumes: dict[str, str] = field(default_factory=dict)
    _installing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """The definition's."""
        return self.definition.name

    @property
    def model(self) -> str:
        """The server's name for the model."""
        return self.served.name

    @property
    def settings(self) -> Mapping[str, Any]:
        """The whole definition, what is put into requests, and limits."""
        return {
            "definition": self.definition.model_dump(mode="json"),
            "program": agent_tag(self.definition.install) if self.definition.install else "",
            "sampling": self.served.sampling,
            "max_turns": self.limits.max_turns,
            "max_tokens": self.limits.max_tokens,
            "max_seconds": self.limits.max_seconds,
        }

    @property
    def watch(self) -> Watch:
        """Over the server that the endpoint asks."""
        return self.served.watch

    @property
    def places(self) -> Places:
        """For the requests that the endpoint passes on."""
        return self.served.room

    async def ready(self) -> None:
        """The server was asked when this was made."""

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        """Run it on the problem statement. Raises: SandboxError; Unavailable when its model could not be reached."""
        await self._install()
        place.folder.mkdir(parents=True, exist_ok=True)
        log = place.folder / _DIALOGUE
        log.unlink(missing_ok=True)
        tally = Tally(log, max_turns=self.limits.max_turns, max_tokens=self.limits.max_tokens)
        served = self.served
        if (seed := served.sampling.get("seed")) is not None:
            served = replace(served, sampling=served.sampling | {"seed": seed + place.repeat})
        fittings = Fittings(service=Service(Endpoint(served, tally).handle), volumes=self._volumes)
        async with open_box(fittings) as box:
            began = time.monotonic()
            ran = await self._run(box, instance, tally)
            seconds = time.monotonic() - began
            if self.definition.clean:
                await box.exec(f"rm -rf -- {' '.join(self.definition.clean)}", timeout_s=60)
            patch = await box.patch()
        (place.folder / _OUTPUT).write_text(ran.output if ran else "", encoding="utf-8", errors="surrogateescape")
        if tally.failure and not patch:
            raise Unavailable(tally.failure)
        return self._prediction(patch, ran, tally, seconds, log)

    async def aclose(self) -> None:
        """Close the connections to the model."""
        await self.watch.aclose()
        await self.served.room.aclose()
        await self.served.client.aclose()

    async def _install(self) -> None:
        if self.definition.install is not None:
            async with self._installing:
                if not self._volumes:
                    self._volumes[await installed(self.definition.install, self.on_line)] = FOLDER

    async def _run(self, box: Sandbox, instance: Instance, tally: Tally) -> ExecResult | None:
        """How it ended; None if a limit that is counted outside ended it."""
        values = self._values(box, instance)
        definition = self.definition
        await box.write(TASK_FILE, instance.problem_statement.encode())
        for path, text in definition.files.items():
            await box.write(filled(path, values), filled(text, values).encode())
        running = asyncio.ensure_future(
            box.exec(
                [filled(argument, values) for argument in definition.argv],
                timeout_s=self.limits.max_seconds or _UNLIMITED_S,
                env={name: filled(value, values) for name, value in definition.env.items()},
                stdin=filled(definition.stdin, values).encode(),
            )
        )
        over = asyncio.ensure_future(tally.over.wait())
        try:
            await asyncio.wait({running, over}, return_when=asyncio.FIRST_COMPLETED)
            return await running if running.done() else None
        finally:
            running.cancel()
            over.cancel()
            await asyncio.wait({running, over})

    def _values(self, box: Sandbox, instance: Instance) -> dict[str, str]:
        return {
            "task": instance.problem_statement,
            "task_file": TASK_FILE,
            "base_url": f"{Service.url}/v1",
            "model": self.served.name,
            "workdir": box.workdir,
            "turns": str(self.limits.max_turns or 1000),
            "seconds": f"{self.limits.max_seconds or _UNLIMITED_S:g}",
            "agent": FOLDER,
        }

    def _prediction(self, patch: str, ran: ExecResult | None, tally: Tally, seconds: float, log: Path) -> Prediction:
        usage = tally.usage
        if ran is not None and not usage.prompt_tokens and not usage.completion_tokens:
            usage += self.definition.usage.usage(ran.output)
        timed_out = ran is not None and ran.timed_out
        failed = ran is not None and not timed_out and ran.exit_code != 0
        words = ran.output.strip().rsplit("\n", 1)[-1][-_WORDS:] if ran else ""
        code = ran.exit_code if ran else 0
        return Prediction(
            patch=patch,
            stop_reason=tally.limit or ("max_seconds" if timed_out else f"exit {code}"),
            limited=bool(tally.limit) or timed_out,
            error=f"{self.name} ended with exit code {code}: {words}" if failed and not tally.limit else "",
            usage=usage,
            steps=usage.requests,
            prefill_s=round(tally.prefill_s, 3),
            decode_s=round(tally.decode_s, 3),
            tools_s=round(max(0.0, seconds - tally.prefill_s - tally.decode_s), 3),
            oom_kills=int(ran.oom_killed) if ran else 0,
            starved=tally.broken,
            trajectory=log if log.is_file() else None,
        )


def command_agent(
    definition: Definition, *, base_url: str | None, model: str | None, key: str | None, sampling: dict[str, Any],
    limits: Limits, requests: int, on_line: Callable[[str], None], tuned: bool = False, places: Places | None = None,
) -> CommandAgent:  # fmt: skip
    """The agent, with the server's first model unless one is named. Raises: ConfigError, Unavailable."""
    import httpx

    if base_url is None:
        raise ConfigError(f"--agent {definition.name} needs a server of the model: give --base-url URL")
    url = base_url.rstrip("/")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        listed = httpx.get(f"{url}/models", headers=headers, timeout=10).raise_for_status().json()
        names = [str(entry["id"]) for entry in listed["data"]]
    except httpx.HTTPError as error:
        raise Unavailable(f"no model answers at {url}: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(f"{url} does not list its models as an OpenAI-compatible server does") from None
    if model is None and not names:
        raise ConfigError(f"the server at {url} has no model")
    # Reading a long prompt takes a processor long.
    client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(7200.0, connect=10.0))
    name = model or names[0]
    watch = Watch(look_over_http(url, lambda: name, key))
    if places is None:
        places = in_flight(requests, base_url=lambda: url, key=key) if tuned else InFlight(requests)
    served = Model(client, url, name, sampling, places, watch)
    return CommandAgent(definition, served, limits, on_line)
