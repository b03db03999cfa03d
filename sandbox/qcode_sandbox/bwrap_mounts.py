"""What a bubblewrap sandbox sees of the file system, as bwrap's arguments (bwrap(1))."""

from pathlib import Path

from qcode_sandbox.bind import Bound
from qcode_sandbox.errors import SandboxUnavailable
from qcode_sandbox.outlet import INSIDE
from qcode_sandbox.specs import BubblewrapSpec

HOME = "/home/dev"
PRIVATE = "/qcode"
SCRATCH = f"{PRIVATE}/scratch"
BASE = f"{PRIVATE}/base.git"
PIPES = f"{PRIVATE}/pipes"

_MB = 1 << 20
_SHM_MB = 64
_HOST_TOP = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_OF_A_TREE_OURS = {"proc", "sys", "dev", "tmp", "run", "home", "root", "mnt", "media", PRIVATE.lstrip("/")}
_HOST_ETC = (
    "alternatives", "ca-certificates", "crypto-policies", "debian_version", "fonts", "java-11-openjdk",
    "java-17-openjdk", "java-21-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic",
    "mime.types", "os-release", "perl", "pki", "protocols", "python3", "services", "ssl/certs", "ssl/openssl.cnf",
    "terminfo", "timezone",
)  # fmt: skip
"""Of the host's /etc: what programs need to run. Nothing that names users, machines or passwords."""

_OWN_ETC = {
    "passwd": f"dev:x:1000:1000:dev:{HOME}:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "dev:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 box\n",
    "hostname": "box\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

_SEALED = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_HIDDEN = ("acpi", "asound", "kcore", "keys", "kmsg", "latency_stats", "sched_debug", "scsi", "timer_list")
"""Of /proc: what Docker makes read-only and what it hides. The kernel keeps an unprivileged user from most of it."""


class Mounts:
    """Arguments as they grow."""

    def __init__(self) -> None:
        self.arguments: list[str] = []

    def add(self, *arguments: str) -> None:
        self.arguments += arguments

    def show(self, source: Path, target: str, *, writable: bool = False) -> None:
        """Mount a file or directory of the host."""
        self.add("--bind" if writable else "--ro-bind", str(source), target)

    def memory(self, target: str, megabytes: int, mode: str = "0755") -> None:
        """Mount an empty file system in memory."""
        self.add("--perms", mode, "--size", str(megabytes * _MB), "--tmpfs", target)


def mounts(
    spec: BubblewrapSpec, folder: Path, bound: Bound | None, *, counter: Path | None, way_out: Path | None
) -> list[str]:
    """All of them. `folder` is the sandbox's own on the host, `counter` its control group's of killed processes.

    Raises: SandboxUnavailable."""
    found = Mounts()
    for directory in ("/etc", "/sys", "/sys/fs", "/sys/fs/cgroup", "/var", PRIVATE):
        found.add("--perms", "0755", "--dir", directory)
    _system(found, spec.root, folder)
    found.add("--proc", "/proc")
    for name in _SEALED:
        found.add("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")
    for name in _HIDDEN:
        if Path("/proc", name).is_file():
            found.add("--ro-bind", "/dev/null", f"/proc/{name}")
    found.add("--dev", "/dev")
    found.memory("/dev/shm", _SHM_MB, "1777")
    found.add("--remount-ro", "/dev")
    found.memory("/tmp", spec.tmp_mb, "1777")
    found.memory(HOME, spec.tmp_mb)
    found.memory(SCRATCH, spec.disk_mb)
    found.show(folder / "base.git", BASE)
    found.show(folder / "pipes", PIPES)
    if counter:
        version = "memory.events" if counter.name == "memory.events" else "memory/memory.oom_control"
        found.show(counter, f"/sys/fs/cgroup/{version}")
    if way_out:
        found.show(way_out, INSIDE)
    _work_tree(found, spec, bound)
    found.add("--dir", "/run", "--remount-ro", "/")
    return found.arguments


def _work_tree(found: Mounts, spec: BubblewrapSpec, bound: Bound | None) -> None:
    if bound is None:
        found.memory(spec.workdir, spec.disk_mb)
        return
    found.show(bound.root, spec.workdir, writable=True)
    for name in bound.pinned:
        found.show(bound.root / name, f"{spec.workdir}/{name}", writable=True)
    for name in bound.protected:
        found.show(bound.root / name, f"{spec.workdir}/{name}")


def _system(found: Mounts, root: Path | None, folder: Path) -> None:
    """The programs: the host's, or those of a tree."""
    if root is not None and not (root / "usr/bin").is_dir():
        raise SandboxUnavailable(f"{root} is not the tree of a system: it has no usr/bin")
    tops = _HOST_TOP if root is None else sorted({place.name for place in root.iterdir()} - _OF_A_TREE_OURS)
    for name in tops:
        place = (root or Path("/")) / name
        if place.is_symlink():
            found.add("--symlink", str(place.readlink()), f"/{name}")
        elif place.is_dir():
            found.show(place, f"/{name}")
    if root is not None:
        if (root / "var/tmp").is_dir():
            found.memory("/var/tmp", _SHM_MB, "1777")
        return
    found.add("--symlink", "/tmp", "/var/tmp")
    for name in _HOST_ETC:
        place = Path("/etc", name)
        if place.is_symlink():
            found.add("--symlink", str(place.readlink()), f"/etc/{name}")
        elif place.exists():
            found.add("--ro-bind-try", str(place), f"/etc/{name}")
    for name, text in _OWN_ETC.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        found.show(path, f"/etc/{name}")
