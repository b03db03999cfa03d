"""A Debian tree from packages: what qcode's own image is made from."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.errors import SandboxUnavailable
from qcode_sandbox.scratch import scratch

SUITES = ("bullseye", "bookworm", "trixie")
"""Debian suites: Python 3.9, 3.11 and 3.13."""

DEFAULT_SUITE = "bookworm"

BASE_PACKAGES = (
    "bash", "ca-certificates", "diffutils", "file", "findutils", "git", "less", "patch", "procps", "python3",
    "python-is-python3", "python3-pip", "python3-pytest", "python3-venv", "ripgrep", "tree", "unzip", "xz-utils",
)  # fmt: skip

SETTINGS = ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8", 'CMD ["bash"]']

_USER = "dev:x:1000:1000:dev:/home/dev:/bin/bash"
_GROUP = "dev:x:1000:"
_RECIPE = 1
"""Changes with what `tree` and `dockerfile` do beside the packages, so that old images are not taken for new ones."""

_UNNEEDED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/info")


def base_tag(suite: str) -> str:
    """Name of qcode's own image of a suite; it changes with its recipe."""
    recipe = json.dumps([_RECIPE, suite, BASE_PACKAGES, SETTINGS])
    return f"qcode/base:{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def dockerfile(suite: str) -> str:
    """The same image on top of Debian's own."""
    return "\n".join(
        [
            f"FROM debian:{suite}-slim",
            "RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "
            f"{' '.join(BASE_PACKAGES)} && rm -rf /var/lib/apt/lists/* /var/cache/apt/*",
            f"RUN echo '{_USER}' >>/etc/passwd && echo '{_GROUP}' >>/etc/group && mkdir -p /workspace "
            "&& install -d -o 1000 -g 1000 /home/dev",
            *SETTINGS,
            "",
        ]
    )


@asynccontextmanager
async def tree(suite: str, include: Iterable[str], on_line: Callable[[str], None]) -> AsyncIterator[Path]:
    """A directory with the packages installed, removed when the context is left. Raises: SandboxUnavailable."""
    if os.geteuid() != 0 or not (program := shutil.which("debootstrap")):
        raise SandboxUnavailable(
            "a Debian image is made by debootstrap, as root: apt-get install debootstrap, and run this once as root; "
            f"or give the Docker engine a registry that has debian:{suite}-slim"
        )
    # /tmp may be small, or mounted so that device files do not work in it.
    parent = next((Path(place) for place in ("/var/tmp", tempfile.gettempdir()) if os.access(place, os.W_OK)), None)
    async with scratch(parent) as root:
        packages = ",".join(dict.fromkeys(include))
        argv = [program, "--variant=minbase", f"--include={packages}", suite, str(root)]
        if source := await asyncio.to_thread(mirror):
            argv.append(source)
        await _run(argv, on_line)
        await asyncio.to_thread(_finish, root)
        yield root


async def _run(argv: list[str], on_line: Callable[[str], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
    )
    said: deque[str] = deque(maxlen=5)
    try:
        assert process.stdout
        async for raw in process.stdout:
            if line := raw.decode(errors="replace").strip():
                said.append(line)
                on_line(line)
        status = await process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await to_the_end(process.wait())
        raise
    if status:
        raise SandboxUnavailable(f"debootstrap failed: {' | '.join(said)}")


def _finish(root: Path) -> None:
    for name in _UNNEEDED:
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log/apt", "workspace", "home/dev"):
        (root / name).mkdir(parents=True, exist_ok=True)
    os.chown(root / "home/dev", 1000, 1000)
    for name, line in (("etc/passwd", _USER), ("etc/group", _GROUP)):
        with (root / name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    (root / "etc/hostname").write_text("box\n", encoding="utf-8")
    (root / "etc/resolv.conf").write_text("", encoding="utf-8")


def mirror(apt: Path = Path("/etc/apt")) -> str:
    """The mirror of Debian's main archive that this machine's apt uses; "" leaves it to debootstrap."""
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        with suppress(OSError):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if found := _mirror_in(line):
                    return found
    return ""


def _mirror_in(line: str) -> str:
    """The address in a line, in either format of sources.list(5), if it ends as Debian's main archive does."""
    words = line.split("#", 1)[0].split()
    if not words or words[0] not in {"deb", "URIs:"}:
        return ""
    addresses = (word for word in words[1:] if word.startswith(("http://", "https://")))
    return next((address for address in addresses if address.rstrip("/").endswith("/debian")), "")
