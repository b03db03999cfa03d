"""All attempts in this process, so many at a time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from qcode_evals.running.making import Hit, Job, Made, Maker, title
from qcode_evals.server.presence import Outage


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """One task a worker, each holding at most one sandbox. Implements `Executor`."""

    maker: Maker
    workers: int
    outage: Outage = field(default_factory=Outage)
    elsewhere: bool = False

    @property
    def pace(self) -> str:
        """What the agent found."""
        places = self.maker.agent.places
        return places.found if places is not None else ""

    async def run(self, jobs: Sequence[Job]) -> AsyncGenerator[Made, None]:
        """As they are done. Raises: what a worker fails with, ServerLost, SandboxError if none can be made here."""
        if not jobs:
            return
        await self.maker.images.ready()
        queue = iter(jobs)
        finished: asyncio.Queue[Made | Exception] = asyncio.Queue()

        async def work() -> None:
            try:
                for job in queue:
                    finished.put_nowait(await self._made(job))
            except Exception as error:
                finished.put_nowait(error)
                raise

        workers = [asyncio.ensure_future(work()) for _ in range(min(self.workers, len(jobs)))]
        try:
            for _ in jobs:
                made = await finished.get()
                if isinstance(made, Exception):
                    raise made
                yield made
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self.outage.aclose()

    async def _made(self, job: Job) -> Made:
        """An attempt; begun anew when the model's server went away under it and came back."""
        while True:
            await self.outage.passed()
            match await self.maker.make(job):
                case Made() as made:
                    return made
                case Hit() as hit:
                    if not self.outage.again(job.key):
                        return hit.made
                    self.maker.watcher.phase(title(job.instance.instance_id, job.repeat), "waiting")
                    await self.outage.over(self.maker.agent.watch.look)
