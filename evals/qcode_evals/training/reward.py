"""The reward of a text that proposes a change: 1 where the row's tests pass with it, in a box, else 0."""

import asyncio
import re
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.environments.sources import SourceError
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.judging import Verdict
from qcode_evals.tasks.dataset import Instance, load
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.pip_settings import pip_settings

T = TypeVar("T")
_FENCE = re.compile(r"^(`{3,}|~{3,})(?:diff|patch)[ \t]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_BARE = re.compile(r"^(?:diff --git |--- [^\n]*\n\+\+\+ ).*", re.MULTILINE | re.DOTALL)


def patch_in(text: str) -> str:
    """The change that a text proposes: its last fence of `diff` or `patch`, else what begins like a diff; "" else."""
    if fences := _FENCE.findall(text):
        return str(fences[-1][1])
    found = _BARE.search(text)
    return found[0].rstrip() + "\n" if found else ""


@dataclass
class PatchReward:
    """Called as ms-swift's GRPO calls a reward function: `completions`, and the column `instance_id` of its rows.

    None stands for what could not be judged because the machinery failed. So many boxes at a time as `workers`.
    """

    dataset: Path
    workers: int = 2
    _rows: dict[str, Instance] = field(default_factory=dict, init=False)

    def __call__(self, completions: Sequence[str], instance_id: Sequence[str], **columns: Any) -> list[float | None]:
        """Blocking, also where an event loop runs. Raises: ConfigError for a data set that cannot be read."""
        if not self._rows:
            self._rows = {row.instance_id: row for row in load(self.dataset)}
        return _apart(self._all(list(zip(completions, instance_id, strict=True))))

    async def _all(self, asked: list[tuple[str, str]]) -> list[float | None]:
        images, room = Images(await pip_settings()), asyncio.Semaphore(self.workers)
        known: dict[tuple[str, str], asyncio.Future[float | None]] = {}
        for completion, name in asked:
            key = (patch_in(completion), name)
            if key not in known:
                known[key] = asyncio.ensure_future(self._one(*key, images, room))
        return [await known[patch_in(completion), name] for completion, name in asked]

    async def _one(self, patch: str, name: str, images: Images, room: asyncio.Semaphore) -> float | None:
        row = self._rows.get(name)
        if row is None:
            return None
        if not patch.strip():
            return 0.0
        try:
            async with room, open_box(row, await images.ensure(row)) as sandbox:
                return float((await grade(row, patch, sandbox)).verdict is Verdict.RESOLVED)
        except (SandboxError, SourceError):
            return None


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run in an event loop of its own on a thread of its own. Raises: what it raises."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="qcode-reward")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
