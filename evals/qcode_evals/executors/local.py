"""All attempts in this process, so many at a time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from qcode_evals.making import Job, Made, Maker


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """One task a worker, each holding at most one sandbox. Implements `Executor`."""

    maker: Maker
    workers: int
    elsewhere: bool = False

    async def run(self, jobs: Sequence[Job]) -> AsyncGenerator[Made, None]:
        """As they are done. Raises: what a worker fails with, SandboxError if no sandbox can be made here."""
        if not jobs:
            return
        await self.maker.images.ready()
        queue = iter(jobs)
        finished: asyncio.Queue[Made | Exception] = asyncio.Queue()

        async def work() -> None:
            try:
                for job in queue:
                    finished.put_nowait(await self.maker.make(job))
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
