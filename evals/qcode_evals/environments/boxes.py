"""The sandbox of an instance: a container of its image, without network."""

from contextlib import AbstractAsyncContextManager

from qcode_evals.environments.opening import PLAIN, Fittings
from qcode_evals.tasks.dataset import Instance
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.specs import DockerSpec


def open_box(instance: Instance, image: str, fittings: Fittings = PLAIN) -> AbstractAsyncContextManager[Sandbox]:
    """Open it at the row's work directory, as the user that the tree belongs to. Raises (on entering): SandboxError."""
    return open_sandbox(
        DockerSpec(image=image, workdir=instance.environment.workdir, gate=fittings.service, volumes=fittings.volumes)
    )
