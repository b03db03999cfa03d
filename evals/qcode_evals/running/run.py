"""Drive all attempts of a run: what earlier runs finished is kept, the rest is made by an executor and written down."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from qcode import __version__
from qcode.errors import BackendError
from qcode_evals.agents.protocol import Agent
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.environments.layers import instance_tag
from qcode_evals.running.controls import CONTROLS, Controls
from qcode_evals.running.executors.protocol import Executor
from qcode_evals.running.making import Job, Made
from qcode_evals.running.progress import Progress
from qcode_evals.running.results import Results
from qcode_evals.tasks.dataset import Instance


def attempt_key(instance: Instance, agent: Agent, repeat: int) -> str:
    """Hash of all that an attempt's result depends on: the row, its image, the agent and its settings (tools, model,
    quantisation, sampling, limits), qcode's version, and which of several attempts it is."""
    return _hash([instance.digest, instance_tag(instance), *_of_agent(agent), repeat])


def _of_agent(agent: Agent) -> tuple[str, str, dict[str, Any]]:
    settings = {} if agent.name in CONTROLS else dict(agent.settings) | {"qcode": __version__}
    return agent.name, agent.model, settings


def _hash(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass
class Run:
    """A run over instances with one agent, each tried `repeat` times."""

    instances: Sequence[Instance]
    agent: Agent
    executor: Executor
    results: Results
    progress: Progress
    controls: Controls
    repeat: int = 1

    async def run(self) -> list[Attempt]:
        """Every attempt, earlier ones of a resumed run included, in the data set's order.

        Each is on disk as soon as it is done. Cancelling leaves what is finished, and no container.
        Raises: ResultsError if the output folder cannot be written to, BackendError if attempts are made here and no
        model is there.
        """
        try:
            await self.agent.ready()
        except BackendError:
            if not self.executor.elsewhere:
                raise
        settings = _hash(_of_agent(self.agent))[:16]
        attempts: dict[tuple[int, str], Attempt] = {}
        waiting: list[Job] = []
        rows = {instance.instance_id: instance for instance in self.instances}
        for repeat in range(self.repeat):
            for instance in self.instances:
                job = Job(instance, repeat, attempt_key(instance, self.agent, repeat), settings)
                earlier = self.results.finished(instance.instance_id, repeat, job.key)
                if earlier is not None:
                    attempts[repeat, instance.instance_id] = earlier
                    self.progress.done(earlier, earlier=True)
                elif (invalid := self._invalid(job)) is not None:
                    attempts[repeat, instance.instance_id] = self._finish(rows, invalid)
                else:
                    waiting.append(job)
        async with aclosing(self.executor.run(waiting)) as finished:
            async for made in finished:
                attempts[made.attempt.repeat, made.attempt.instance_id] = self._finish(rows, made)
        return [attempts[repeat, instance.instance_id] for repeat in range(self.repeat) for instance in self.instances]

    def _invalid(self, job: Job) -> Made | None:
        why = job.instance.unusable or None
        if why is None and self.agent.name not in CONTROLS:
            why = self.controls.of(job.instance).invalid
        if why is None:
            return None
        attempt = Attempt(
            instance_id=job.instance.instance_id,
            repeat=job.repeat,
            key=job.key,
            settings=job.settings,
            agent=self.agent.name,
            model=self.agent.model,
            outcome=Outcome.INVALID_TASK,
            resolved=False,
            reason=why,
        )
        return Made(attempt, None, None)

    def _finish(self, rows: dict[str, Instance], made: Made) -> Attempt:
        self.results.add(made)
        self.controls.add(rows[made.attempt.instance_id], made.attempt)
        self.progress.done(made.attempt)
        return made.attempt
