"""Labels that say whose a container is, and the removal of those whose owner was killed."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from qcode_sandbox.docker_client import engine_errors
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.owner import LEASE_S, Owner

if TYPE_CHECKING:
    from docker import APIClient


def labels(session: str) -> dict[str, str]:
    """Labels of a container of this process."""
    return {
        "qcode": "1",
        "qcode.session": session,
        "qcode.owner": Owner.current().text,
        "qcode.lease": str(int(time.time()) + LEASE_S),
    }


def reap_stale(client: APIClient) -> list[str]:
    """Remove the containers whose owner is gone, and return their ids; blocking.

    A container of a living process is never touched. Where the owner cannot be looked for, because it runs on another
    machine or in another process namespace, it is kept until its lease is over, and as long as it runs: its owner
    holds its input open, and it ends when the owner does (init.sh). Raises: SandboxError.
    """
    with engine_errors("the engine's containers cannot be listed"):
        known = client.containers(all=True, filters={"label": "qcode=1"})
    reaped = []
    for container in known:
        marks = container.get("Labels") or {}
        owner = Owner.parse(marks.get("qcode.owner", ""))
        lease = marks.get("qcode.lease", "")
        expired = lease.isdigit() and int(lease) < time.time() and container.get("State") != "running"
        if (owner and owner.is_gone()) or (expired and not (owner and owner.is_near)):
            # Another qcode may be reaping it at this moment.
            with contextlib.suppress(SandboxError), engine_errors("a left container cannot be removed"):
                client.remove_container(container["Id"], force=True, v=True)
                reaped.append(str(container["Id"]))
    return reaped
