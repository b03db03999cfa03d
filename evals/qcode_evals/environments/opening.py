"""How a box of an instance is opened, and what it has beside the instance's image."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

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
