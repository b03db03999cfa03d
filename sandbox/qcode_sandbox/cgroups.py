"""Control groups: limits that hold for all processes of a sandbox together, where this user may make them.

Version 1 has a hierarchy for each controller (kernel documentation, admin-guide/cgroup-v1), version 2 one for all
(admin-guide/cgroup-v2), in which a group with processes of its own hands no controller to its children: there the new
group is made beside the group that this process is in.
"""

import contextlib
import errno
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_PERIOD_US = 100_000
_EMPTY_AFTER_S = 10.0
_RECORD = "groups"
"""File of a sandbox's folder that says where its groups are: who removes them may be in another group itself."""

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Group:
    """`entries` are the files that a process is put in by, `counter` tells of killed processes, `held` are the limits
    that the kernel took: memory, pids, cpu."""

    entries: tuple[Path, ...]
    counter: Path | None
    held: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory in which a group can be made, and the controllers that it would have."""

    parent: Path
    controllers: frozenset[str]
    version: int


def make(folder: Path, *, memory_mb: int, pids: int, cpus: float) -> Group:
    """A group of the folder's name with as many of the limits as this user may set; blocking. Raises: OSError."""
    places = _places()
    made = "".join(f"{place.parent / folder.name}\n" for place in places)
    (folder / _RECORD).write_bytes(os.fsencode(made))
    entries: list[Path] = []
    counter: Path | None = None
    held: set[str] = set()
    for place in places:
        wanted = place.controllers - held
        if not wanted:
            continue
        group = place.parent / folder.name
        try:
            group.mkdir(exist_ok=True)
        except OSError:
            continue
        taken = {controller for controller in wanted if _limit(group, place.version, controller, memory_mb, pids, cpus)}
        if not taken or not os.access(group / "cgroup.procs", os.W_OK):
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        held |= taken
        entries.append(group / "cgroup.procs")
        if "memory" in taken:
            counter = group / ("memory.events" if place.version == 2 else "memory.oom_control")
    if entries and not _can_be_entered(entries):
        remove(folder)
        return Group((), None, frozenset())
    return Group(tuple(entries), counter, frozenset(held))


def _can_be_entered(entries: list[Path]) -> bool:
    """Whether a process of this user may go there: version 2 also asks for a right in the group above both."""
    enter = 'for entry; do echo 0 >"$entry" || exit 1; done'
    return subprocess.run(["sh", "-c", enter, "sh", *map(str, entries)], stderr=subprocess.DEVNULL).returncode == 0


def remove(folder: Path) -> bool:
    """End what still runs in the groups of a folder, and remove them; False where one is still in use; blocking."""
    until = time.monotonic() + _EMPTY_AFTER_S
    try:
        made = [Path(os.fsdecode(line)) for line in (folder / _RECORD).read_bytes().splitlines()]
    except OSError:
        return True
    return all(_removed(group, until) for group in made if group.name == folder.name)


def _removed(group: Path, until: float) -> bool:
    while True:
        _end_all_in(group)
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        else:
            return True


def _end_all_in(group: Path) -> None:
    with contextlib.suppress(OSError):
        for number in (group / "cgroup.procs").read_text(encoding="ascii").split():
            # 0 is a process that this namespace does not know.
            if number != "0":
                with contextlib.suppress(OSError):
                    os.kill(int(number), signal.SIGKILL)


def _limit(group: Path, version: int, controller: str, memory_mb: int, pids: int, cpus: float) -> bool:
    size, quota = str(memory_mb * _MB), str(int(cpus * _PERIOD_US))
    first, second = {
        (1, "memory"): (("memory.limit_in_bytes", size), ("memory.memsw.limit_in_bytes", size)),
        (2, "memory"): (("memory.max", size), ("memory.swap.max", "0")),
        (1, "cpu"): (("cpu.cfs_period_us", str(_PERIOD_US)), ("cpu.cfs_quota_us", quota)),
        (2, "cpu"): (("cpu.max", f"{quota} {_PERIOD_US}"), ("", "")),
    }.get((version, controller), (("pids.max", str(pids)), ("", "")))
    try:
        _write(group / first[0], first[1])
    except OSError:
        return False
    if second[0]:
        try:
            _write(group / second[0], second[1])
        except OSError:
            # A kernel without accounting of swap has no such file; with swap on, the limit would not hold.
            return controller == "memory" and not _has_swap()
    return True


def _write(path: Path, text: str) -> None:
    with path.open("r+", encoding="ascii") as file:
        file.write(text)


def _has_swap() -> bool:
    return len(Path("/proc/swaps").read_text(encoding="ascii").splitlines()) > 1


def _places() -> list[_Place]:
    found = []
    own = _own_groups()
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            fields, (kind, _, options) = before.split(), after.split(maxsplit=2)
            root, mount = Path(fields[3]), Path(fields[4])
            if kind == "cgroup":
                controllers = frozenset(options.split(",")) & {"memory", "pids", "cpu"}
                if controllers:
                    here = _below(mount, root, own.get(min(controllers), "/"))
                    found.append(_Place(here, controllers, 1))
            elif kind == "cgroup2":
                here = _below(mount, root, own.get("", "/"))
                for parent in dict.fromkeys((here.parent if here != mount else mount, mount)):
                    with contextlib.suppress(OSError):
                        given = (parent / "cgroup.subtree_control").read_text(encoding="ascii").split()
                        found.append(_Place(parent, frozenset(given) & {"memory", "pids", "cpu"}, 2))
    return found


def _below(mount: Path, root: Path, group: str) -> Path:
    """Where a group is seen, when `root` of the hierarchy is what is mounted."""
    path = Path(group)
    place = mount / path.relative_to(root) if path.is_relative_to(root) else mount
    return place if place.is_dir() else mount


def _own_groups() -> dict[str, str]:
    """The groups of this process by controller, "" for version 2."""
    groups: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            groups |= dict.fromkeys(controllers.split(","), path)
    return groups
