"""A folder of the host that a sandbox shall work in: whether it may, and what of it stays read-only."""

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qcode_sandbox.errors import SandboxUnavailable

_OWN_FILES = (".qcode", ".mcp.json")
_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr", "var/run")
_COPY = "let it work on a copy instead"


@dataclass(frozen=True, slots=True)
class Bound:
    """What to mount, as POSIX paths relative to `root`, parents first: `pinned` folders onto themselves, because a
    mount point cannot be renamed and so no protected path below it be replaced; then `protected` ones read-only.
    `uid` and `gid` own the folder."""

    root: Path
    pinned: tuple[str, ...]
    protected: tuple[str, ...]
    uid: int
    gid: int


def survey(folder: Path) -> Bound:
    """Look through a folder; blocking, as long as a walk over its files. Raises: SandboxUnavailable."""
    try:
        root = folder.resolve(strict=True)
        owner = root.stat()
    except OSError as error:
        raise SandboxUnavailable(f"{folder} cannot be worked in: {error.strerror}") from error
    if not stat.S_ISDIR(owner.st_mode):
        raise SandboxUnavailable(f"{folder} is no folder")
    _check_place(root)
    protected = [name for name in _OWN_FILES if _is_there(root / name)]
    protected += _repositories(root)
    pinned = {
        str(parent) for name in protected for parent in Path(name).parents if str(parent) != "."
    }  # fmt: skip
    return Bound(root, tuple(sorted(pinned)), tuple(sorted(protected)), owner.st_uid, owner.st_gid)


def _is_there(path: Path) -> bool:
    if path.is_symlink():
        raise SandboxUnavailable(f"{path} is a symlink, which cannot be kept from being replaced: {_COPY}")
    return path.exists()


def _check_place(root: Path) -> None:
    """Refuse a folder that reaches the user's home, the system, or a socket that gives power over the host."""
    homes = [
        Path.home(),
        *(Path(value) for name in ("XDG_RUNTIME_DIR", "SSH_AUTH_SOCK") if (value := os.environ.get(name))),
    ]
    named = [*homes, Path(tempfile.gettempdir()), Path("/var/lib/docker"), *(Path("/", name) for name in _SYSTEM)]
    for place in named:
        if place.resolve().is_relative_to(root):
            raise SandboxUnavailable(f"{root} holds {place}: a sandbox works in a project's own folder")
    inside = [Path("/", name) for name in _SYSTEM] + [
        Path.home() / name for name in (".ssh", ".gnupg", ".aws", ".config")
    ]
    for place in inside:
        if root.is_relative_to(place.resolve()):
            raise SandboxUnavailable(f"{root} is part of {place}: a sandbox works in a project's own folder")


def _repositories(root: Path) -> list[str]:
    """Every `.git` below, relative. Raises: SandboxUnavailable for a socket, or a `.git` that is a symlink."""
    found = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name = f"{folder}{entry.name}"
                    if entry.name == ".git":
                        _is_there(Path(entry.path))
                        found.append(name)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(f"{name}/")
                    elif not (entry.is_file(follow_symlinks=False) or entry.is_symlink()) and _is_socket(entry):
                        raise SandboxUnavailable(
                            f"{entry.path} is a socket, by which a sandbox could reach out: {_COPY}"
                        )
        except PermissionError:
            continue  # what this user cannot read, the sandbox cannot either
        except OSError as error:
            raise SandboxUnavailable(f"{root / folder} cannot be looked through: {error.strerror}") from error
    return found


def _is_socket(entry: "os.DirEntry[str]") -> bool:
    return stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)
