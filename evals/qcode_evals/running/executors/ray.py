"""Attempts as tasks of a Ray cluster: each takes one `qcode_sandbox` of its node, and a lost node's go to another.

A node says how many sandboxes it has room for: `ray start --address=HEAD --resources='{"qcode_sandbox": 8}'`. It needs
qcode of the same version and a container engine; images are built there when they are first needed. A worker process of
Ray makes one attempt after the other with the same agent; what they ask of the model's server is counted in one place
(see `gate`). Only this module and `node` import ray.
"""

import asyncio
import os
import socket
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from qcode.errors import ConfigError, QcodeError
from qcode_evals.running.executors.gate import Gate
from qcode_evals.running.executors.node import look_on_node, make_on_node
from qcode_evals.running.making import Hit, Job, Made, Watcher, title
from qcode_evals.running.plans import Plan
from qcode_evals.server.presence import BUSY, Outage, Sight

SLOT = "qcode_sandbox"
_LOST_NODES = 5
"""How often an attempt is begun again because its node or its worker went away."""
_AHEAD = 2
"""Attempts handed to Ray for each slot, so that none waits for the next; the rest stay here, and memory flat."""


_KNOCK_S, _TOLD_S = 10.0, 5.0
_CALLS_EACH, _CALLS = 4, 100
"""Of the gate's methods that may be under way at a time, for each request and besides."""


class RayError(QcodeError):
    """For the user: the cluster cannot be used."""

    exit_code = 4


@dataclass
class RayExecutor:
    """Implements `Executor` on a cluster. Without an `address`, a cluster of this machine alone with `slots` is
    started, and stopped in the end."""

    plan: Plan
    watcher: Watcher
    slots: int
    address: str | None = None
    outage: Outage = field(default_factory=Outage)
    elsewhere: bool = True
    pace: str = field(default="", init=False)
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False)

    async def run(self, jobs: Sequence[Job]) -> AsyncGenerator[Made, None]:
        """As they are done; while the model's server is waited for, none is begun. Raises: ConfigError, RayError,
        ServerLost."""
        if not jobs:
            return
        try:
            import ray as installed
        except ImportError:
            raise ConfigError("--executor ray needs Ray: pip install 'qcode[ray]'") from None
        ray: Any = installed
        await asyncio.to_thread(self._connect, ray)
        task = ray.remote(max_retries=_LOST_NODES, num_cpus=0, resources={SLOT: 1})(make_on_node)
        waiting = deque(jobs)
        running: dict[asyncio.Future[Any], tuple[Any, int]] = {}
        away: asyncio.Future[None] | None = None
        gate, begun = None, 0
        try:
            plan = ray.put(self.plan)
            gate = await self._gate(ray)
            while True:
                room = max(1, _slots(ray)) * _AHEAD
                while waiting and len(running) < room and away is None:
                    job = waiting.popleft()
                    self.watcher.phase(title(job.instance.instance_id, job.repeat), "agent")
                    begun += 1
                    reference = task.remote(plan, job, gate, begun)
                    running[asyncio.wrap_future(reference.future())] = (reference, begun)
                ahead = [*running, *([away] if away is not None else [])]
                if not ahead:
                    return
                done, _ = await asyncio.wait(ahead, return_when=asyncio.FIRST_COMPLETED)
                if away is not None and away.done():
                    await away
                    away = None
                for future in done & running.keys():
                    _, owner = running.pop(future)
                    if gate is not None:
                        gate.drop.remote(owner)
                    made = _result(ray, future)
                    if isinstance(made, Made):
                        yield made
                    elif not self.outage.again(made.job.key):
                        yield made.made
                    else:
                        waiting.append(made.job)
                        away = away or asyncio.ensure_future(
                            self.outage.over(self._look_from(ray, plan, gate, made.node))
                        )
        finally:
            if away is not None:
                away.cancel()
            await self.outage.aclose()
            for future, (reference, _) in running.items():
                future.cancel()
                with suppress(Exception):
                    ray.cancel(reference, force=True)
            if gate is not None:
                with suppress(Exception):
                    self.pace = await asyncio.wait_for(asyncio.wrap_future(gate.ended.remote().future()), _TOLD_S)
            await asyncio.to_thread(self._disconnect, ray)

    async def _gate(self, ray: Any) -> Any:
        """Where requests are counted for all nodes: beside this process, for the server is lost with it anyway. None
        where there can be no more of them than may be, for no node joins later. Raises: RayError."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        most = max(1, _slots(ray)) * self.plan.attempts
        plan = replace(self.plan, requests=most) if self.plan.tuned else self.plan
        if not plan.tuned and plan.requests >= most and self.address is None:
            return None
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=True)
        # Those who wait must not keep out those who give a place back.
        gate = ray.remote(num_cpus=0, max_concurrency=_CALLS_EACH * most + _CALLS, scheduling_strategy=here)(
            Gate
        ).remote(plan)
        try:
            await asyncio.wrap_future(gate.found.remote().future())
        except ray.exceptions.RayError as error:
            raise RayError(f"requests cannot be counted on the Ray cluster: {error}") from None
        return gate

    def _look_from(self, ray: Any, plan: Any, gate: Any, node: str) -> Callable[[], Awaitable[Sight]]:
        """Looks from the node that saw the server go, or from another one where that has gone too; it needs no slot."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node_id=node, soft=True)
        task = ray.remote(num_cpus=0, scheduling_strategy=there)(look_on_node)

        async def look() -> Sight:
            try:
                sight = await asyncio.wrap_future(task.remote(plan, gate).future())
            except ray.exceptions.RayError:
                return BUSY
            assert isinstance(sight, Sight)
            return sight

        return look

    def _connect(self, ray: Any) -> None:
        """Join the cluster from a folder of our own, so that Ray takes nothing of the working directory along."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._folder = tempfile.TemporaryDirectory(prefix="qcode-ray-")
        common = {
            "runtime_env": {"working_dir": self._folder.name, "env_vars": {"PYTHONSAFEPATH": "1"}},
            "log_to_driver": False,
            "logging_level": "ERROR",
        }
        try:
            if self.address is None:
                ray.init(
                    num_cpus=self.slots, resources={SLOT: self.slots}, include_dashboard=False,
                    _node_ip_address="127.0.0.1", **common,
                )  # fmt: skip
            else:
                _knock(self.address)
                ray.init(address=self.address, **common)
        except (OSError, ValueError, RuntimeError) as error:
            raise RayError(f"cannot join the Ray cluster {self.address or 'of this machine'}: {error}") from None
        if not _slots(ray):
            self._disconnect(ray)
            raise ConfigError(
                f"no node of the Ray cluster offers {SLOT}: start nodes with "
                f"""ray start --address=HEAD --resources='{{"{SLOT}": 8}}'"""
            )

    def _disconnect(self, ray: Any) -> None:
        ray.shutdown()
        if self._folder is not None:
            self._folder.cleanup()


def _knock(address: str) -> None:
    """See at once whether anything listens there; Ray waits minutes for it. Raises: OSError."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S):
            pass


def _slots(ray: Any) -> int:
    """Sandboxes that all nodes together have room for."""
    return int(ray.cluster_resources().get(SLOT, 0))


def _result(ray: Any, future: asyncio.Future[Any]) -> Made | Hit:
    """A task's result. Raises: RayError when it was lost too often, or what is wrong with its node."""
    try:
        made = future.result()
    except asyncio.CancelledError:
        raise RayError("the Ray cluster went away; what is finished is kept for --resume") from None
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        raise RayError(f"an attempt failed on its node: {cause}") from None
    except ray.exceptions.RayError as error:
        raise RayError(f"an attempt was lost {_LOST_NODES} times: {str(error).splitlines()[0]}") from None
    assert isinstance(made, Made | Hit)
    return made
