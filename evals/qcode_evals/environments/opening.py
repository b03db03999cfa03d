"""The seams between attempts and the boxes they work in: how one is opened, and what it is opened from."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from qcode_evals.tasks.dataset import Instance
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.service import Service


@dataclass(frozen=True, slots=True)
class Fittings:
    """What a box has beside the instance's image: a service of ours, and volumes by name at read-only places."""

    service: Service | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)


PLAIN = Fittings()


class OpenBox(Protocol):
    """Opens a fresh sandbox from the instance's image."""

    def __call__(self, fittings: Fittings = PLAIN, /) -> AbstractAsyncContextManager[Sandbox]:
        """Raises (on entering): SandboxError."""
        ...


class Opener(Protocol):
    """Opens a fresh sandbox for an instance from an image."""

    def __call__(
        self, instance: Instance, image: str, fittings: Fittings = PLAIN, /
    ) -> AbstractAsyncContextManager[Sandbox]:
        """Raises (on entering): SandboxError."""
        ...


class Environments(Protocol):
    """Makes what boxes are opened from, each once."""

    async def ready(self) -> None:
        """Whether any can be made at all. Raises: SandboxError."""
        ...

    async def ensure(self, instance: Instance) -> str:
        """Name of an image, or of a folder, that is there when this returns, and kept until `release`.

        Raises: SandboxError, SourceError.
        """
        ...

    def release(self, instance: Instance) -> None:
        """What `ensure` gave is no longer in use; once for each time."""
        ...
