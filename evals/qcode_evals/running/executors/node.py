"""What a node of a Ray cluster does: whole attempts, one after the other, and looks at the model's server."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qcode.errors import BackendError, Unavailable
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.running.executors.gate import Remote
from qcode_evals.running.making import Hit, Job, Made, Maker
from qcode_evals.running.plans import Plan
from qcode_evals.server.presence import Sight
from qcode_sandbox.scratch import scratch


class _Silent:
    """A worker's watcher: what a node does is told by its results."""

    def phase(self, attempt: str, name: str) -> None:
        """Not told."""

    def retry(self, attempt: str, phase: str, why: str) -> None:
        """Not told; it is counted in the attempt."""


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process's event loop and parts. `places` are None where the cluster need not count requests."""

    runner: asyncio.Runner
    maker: Maker
    places: Remote | None


_WORKERS: dict[Plan, _Worker] = {}
"""Made with a process's first attempt, and kept to its end."""


def _worker(plan: Plan, gate: Any) -> _Worker:
    """Raises: BackendError."""
    if (made := _WORKERS.get(plan)) is not None:
        return made
    runner = asyncio.Runner()
    images, open_box = runner.run(plan.environments())
    places = None if gate is None else _remote(gate)
    maker = Maker(plan.agent(places), images, open_box, _Silent(), Path("/nonexistent"))
    return _WORKERS.setdefault(plan, _Worker(runner, maker, places))


def _remote(gate: Any) -> Remote:
    import ray

    async def ask(method: str, *arguments: object) -> None:
        try:
            await asyncio.wrap_future(getattr(gate, method).remote(*arguments).future())
        except ray.exceptions.RayError as error:
            raise Unavailable(f"what counts the cluster's requests went away: {error}") from None

    def tell(method: str, *arguments: object) -> None:
        getattr(gate, method).remote(*arguments)

    return Remote(ask, tell)


def make_on_node(plan: Plan, job: Job, gate: Any, owner: int) -> Made | Hit:
    """What a task does: one attempt, with the session's log in what it returns. The gate knows it as `owner`'s."""
    try:
        worker = _worker(plan, gate)
    except BackendError as error:
        return Hit(job, Made(_not_begun(plan, job, error), None, None), _node())
    runner, maker = worker.runner, worker.maker
    if worker.places is not None:
        worker.places.begin(owner)
    made = runner.run(_make(maker, job))
    return replace(made, node=_node()) if isinstance(made, Hit) else made


async def _make(maker: Maker, job: Job) -> Made | Hit:
    async with scratch() as folder:
        made = await replace(maker, folder=folder).make(job)
        if isinstance(made, Hit):
            return made
        log = folder / made.attempt.trajectory
        if made.attempt.trajectory and log.is_file():
            return replace(made, trajectory=(log.name, await asyncio.to_thread(log.read_bytes)))
        return made


def look_on_node(plan: Plan, gate: Any) -> Sight:
    """What another task does: one look at the model's server."""
    try:
        worker = _worker(plan, gate)
    except BackendError as error:
        return Sight(False, str(error))
    return worker.runner.run(worker.maker.agent.watch.look())


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _not_begun(plan: Plan, job: Job, error: BackendError) -> Attempt:
    """An attempt whose agent could not even be made."""
    return Attempt(
        instance_id=job.instance.instance_id, repeat=job.repeat, key=job.key, settings=job.settings, agent=plan.name,
        model=plan.options.model or "", outcome=Outcome.INFRA_ERROR, resolved=False, reason=str(error),
    )  # fmt: skip
