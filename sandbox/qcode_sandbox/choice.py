"""Which sandbox this machine has."""

import shutil
from typing import Literal

from qcode_sandbox.docker_client import probe
from qcode_sandbox.errors import SandboxUnavailable

NEITHER = (
    "no sandbox is on this machine: no Docker engine answers, and bubblewrap is not installed. Install one of them "
    "(apt-get install bubblewrap, or docker.io); --sandbox none runs commands on the host itself, without isolation"
)


def choose() -> Literal["docker", "bubblewrap"]:
    """Docker if an engine answers, else bubblewrap; never the host. Takes well under a millisecond.

    Raises: SandboxUnavailable.
    """
    try:
        probe()
    except OSError:
        if shutil.which("bwrap"):
            return "bubblewrap"
        raise SandboxUnavailable(NEITHER) from None
    return "docker"
