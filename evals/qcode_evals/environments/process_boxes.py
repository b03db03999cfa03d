"""Boxes without images, for rows whose files stand in the row and whose tests need no more than this machine's /usr:
namespaces made by bubblewrap, in a tenth of a second and without a daemon."""

import asyncio
import hashlib
import json
import os
import tempfile
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from qcode.config.paths import cache_dir
from qcode_evals.environments.opening import PLAIN, Fittings
from qcode_evals.tasks.dataset import FilesSource, Instance
from qcode_evals.tasks.trees import Files, write_tree
from qcode_sandbox.errors import SandboxUnavailable
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.specs import BubblewrapSpec, Source

MEMORY_MB, DISK_MB, TMP_MB = 1024, 128, 64
"""Of one box: many stand beside each other."""


@dataclass
class Trees:
    """In place of images: each row's files in a folder, written once and named by their content."""

    folder: Path = field(default_factory=lambda: cache_dir() / "evals" / "trees")

    async def ready(self) -> None:
        """It needs no engine."""

    async def ensure(self, instance: Instance) -> str:
        """The folder's path. Raises: SandboxUnavailable for a row that is not of files."""
        source = instance.environment.source
        if not isinstance(source, FilesSource):
            raise SandboxUnavailable(f"{instance.instance_id} needs an image: its files do not stand in the row")
        content = source.model_dump(mode="json", exclude={"tree"})
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]
        target = self.folder / digest
        if not target.is_dir():
            await asyncio.to_thread(_write, target, source)
        return str(target)

    def release(self, instance: Instance) -> None:
        """Nothing to do: a tree is small, and stays."""


def open_process_box(
    instance: Instance, image: str, fittings: Fittings = PLAIN, /
) -> AbstractAsyncContextManager[Sandbox]:
    """Open it with a copy of the tree; volumes are not known here. Raises (on entering): SandboxError."""
    source = instance.environment.source
    files = source.paths if isinstance(source, FilesSource) else ()
    return open_sandbox(
        BubblewrapSpec(
            source=Source(root=Path(image), files=files),
            workdir=instance.environment.workdir,
            memory_mb=MEMORY_MB,
            disk_mb=DISK_MB,
            tmp_mb=TMP_MB,
            gate=fittings.service,
            on_progress=lambda line: None,
        )
    )


def _write(target: Path, tree: Files) -> None:
    """All of it or nothing: another process may write the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        made = Path(name) / "tree"
        made.mkdir()
        write_tree(made, tree)
        try:
            os.rename(made, target)  # noqa: PTH104 (a folder onto a folder that must not be there)
        except OSError:
            if not target.is_dir():
                raise
