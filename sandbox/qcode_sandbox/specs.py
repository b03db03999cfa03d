"""What a sandbox shall be: `DockerSpec` or `HostSpec`, and the `Source` that goes in."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

DEFAULT_IMAGE = "qcode/base"
"""The image that qcode makes itself: Debian with git, ripgrep, Python 3 and pytest."""


@dataclass(frozen=True, slots=True)
class Source:
    """Files of a tree on the host that are copied into the sandbox.

    `files` are POSIX paths relative to `root`, of regular files and symlinks: modes are kept, links are copied as
    links. What lies outside `root`, or behind a symlink, is refused.
    """

    root: Path
    files: Sequence[str]


def _ignore(line: str) -> None:
    del line


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSpec:
    """A container.

    With `source` the root file system is read-only, and what can be written are file systems in memory, each with a
    size that the kernel holds: the work tree (`disk_mb`), /tmp and the home directory (`tmp_mb` each). They count as
    memory, so `memory_mb` bounds processes and files together.

    Without `source` the image brings its tree at `workdir`, which must belong to `user`. Its root file system is
    writable. Docker's overlay2 has no quota on most file systems: no single file can grow beyond `disk_mb`, and the
    layer's size is watched every second; a call that exceeds it is killed. A fast writer overshoots by what it writes
    in that time. /tmp and home are in memory as above.
    """

    source: Source | None = None
    image: str = DEFAULT_IMAGE
    workdir: str = "/workspace"
    user: str = "1000:1000"
    memory_mb: int = 4096
    disk_mb: int = 1536
    tmp_mb: int = 512
    cpus: float = 2.0
    pids: int = 512
    network: Literal["none", "host"] = "none"
    env: Mapping[str, str] = field(default_factory=dict)
    session: str = ""
    on_progress: Callable[[str], None] = _ignore

    def __post_init__(self) -> None:
        if not self.workdir.startswith("/") or self.workdir == "/":
            raise ValueError(f"the work directory of a sandbox is an absolute path below /, not {self.workdir!r}")
        if not re.fullmatch(r"[1-9]\d*:\d+", self.user):
            raise ValueError(f"the user of a sandbox is UID:GID in numbers and not root, not {self.user!r}")
        files_mb = (self.disk_mb if self.source else 0) + 2 * self.tmp_mb
        if min(self.memory_mb, self.disk_mb, self.tmp_mb, self.pids, self.cpus) <= 0 or files_mb >= self.memory_mb:
            raise ValueError(
                f"a sandbox's limits must be positive, and its memory ({self.memory_mb} MB) larger than the files "
                f"that live in it ({files_mb} MB)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """A private copy of `source` in a temporary directory of the host. No isolation: commands run as the user."""

    source: Source
    env: Mapping[str, str] = field(default_factory=dict)


SandboxSpec = DockerSpec | HostSpec
