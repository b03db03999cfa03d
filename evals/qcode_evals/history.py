"""A git repository read as data: commits, trees and differences, without running anything that stands in it."""

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcode.errors import ConfigError

_SAFE = (
    "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "-c", "diff.external=",
    "-c", "core.attributesFile=/dev/null", "-c", "protocol.allow=never", "-c", "core.quotePath=false",
)  # fmt: skip
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit with one parent."""

    hash: str
    parent: str
    date: str
    message: str


class History:
    """Reads the repository at `root`. Raises (in all methods): ConfigError with what git said."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def _git(self, *arguments: str) -> bytes:
        command = ["git", *_SAFE, "-C", str(self._root), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"cannot read the history of {self._root}: {error}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
            raise ConfigError(f"cannot read the history of {self._root}: {said[-1]}")
        return done.stdout

    def commits(self, most: int) -> Iterator[Commit]:
        """The last commits of the current branch's first line, the newest first; merges are left out."""
        listing = self._git(
            "log", "--first-parent", "--no-merges", f"--max-count={most}", "-z", "--format=%H%n%P%n%cI%n%B"
        )
        for entry in listing.decode("utf-8", "replace").split("\0"):
            parts = entry.split("\n", 3)
            if len(parts) == 4 and len(parts[1].split()) == 1:
                yield Commit(parts[0], parts[1], parts[2], parts[3].strip())

    def changed(self, commit: Commit) -> list[str]:
        """Paths that a commit changes, both of a renaming."""
        said = self._git("diff-tree", "-r", "-z", "--no-renames", "--name-only", commit.parent, commit.hash)
        return [path for path in said.decode("utf-8", "surrogateescape").split("\0") if path]

    def difference(self, commit: Commit, paths: Sequence[str]) -> str:
        """The change of some files as a patch."""
        options = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
        return self._git("diff", *options, commit.parent, commit.hash, "--", *paths).decode("utf-8", "surrogateescape")

    def files(self, revision: str) -> dict[str, str] | None:
        """Text by path of a whole tree, or None if it has links, submodules or files that are not UTF-8."""
        files: dict[str, str] = {}
        for entry in self._git("ls-tree", "-r", "-z", revision).split(b"\0"):
            if not entry:
                continue
            about, _, path = entry.partition(b"\t")
            mode, _, blob = about.decode().split()
            if mode not in {"100644", "100755"}:
                return None
            try:
                files[path.decode()] = self._git("cat-file", "blob", blob).decode()
            except UnicodeDecodeError:
                return None
        return files


def tree_hash(files: dict[str, str]) -> str:
    """What git calls a tree of plain files: SHA-1 over its entries, which are sorted as if folders ended in a slash."""
    folders: dict[str, dict[str, str]] = {}
    entries: list[tuple[str, str, str]] = []
    for path, text in files.items():
        first, _, rest = path.partition("/")
        if rest:
            folders.setdefault(first, {})[rest] = text
        else:
            entries.append((first, "100644", _object("blob", text.encode())))
    entries += [(name + "/", "40000", tree_hash(inner)) for name, inner in folders.items()]
    body = b"".join(
        f"{mode} {name.removesuffix('/')}\0".encode() + bytes.fromhex(value)
        for name, mode, value in sorted(entries, key=lambda entry: entry[0].encode())
    )
    return _object("tree", body)


def _object(kind: str, body: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()
