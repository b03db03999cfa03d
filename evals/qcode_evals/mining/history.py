"""A git repository read as data: commits, trees and differences, without running anything that stands in it."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcode.errors import ConfigError
from qcode_evals.tasks.trees import LINK, PLAIN, RUNS, Blob, blob

_SAFE = (
    "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "-c", "diff.external=",
    "-c", "core.attributesFile=/dev/null", "-c", "protocol.allow=never", "-c", "core.quotePath=false",
)  # fmt: skip
_TIMEOUT_S = 300
_MERGED = 20
"""Messages of merged commits that are read."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, and the parent that it is compared with."""

    hash: str
    parent: str
    date: str
    message: str


class History:
    """Reads the repository at `root`. Raises (in all methods): ConfigError with what git said."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def _git(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["git", *_SAFE, "-C", str(self._root), *arguments]
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"cannot read the history of {self._root}: {error}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
            raise ConfigError(f"cannot read the history of {self._root}: {said[-1]}")
        return done.stdout

    def paths(self, revision: str) -> frozenset[str]:
        """Of all files of a revision."""
        listing = self._git("ls-tree", "-r", "-z", "--name-only", revision)
        return frozenset(filter(None, listing.decode("utf-8", "surrogateescape").split("\0")))

    def text(self, revision: str, path: str) -> str:
        """What stands in a file of a revision."""
        return self._git("cat-file", "blob", f"{revision}:{path}").decode("utf-8", "replace")

    def commits(self, most: int) -> Iterator[Commit]:
        """The last commits of the current branch's first line, the newest first. A merge is what it brings to that
        line, with the messages of what was merged behind its own; one of three and more is left out."""
        listing = self._git("log", "--first-parent", f"--max-count={most}", "-z", "--format=%H%n%P%n%cI%n%B")
        for entry in listing.decode("utf-8", "replace").split("\0"):
            parts = entry.split("\n", 3)
            if len(parts) < 4:
                continue
            name, parents, date, message = parts[0], parts[1].split(), parts[2], parts[3].strip()
            if len(parents) == 1:
                yield Commit(name, parents[0], date, message)
            elif len(parents) == 2:
                merged = self._git("log", "--no-merges", f"--max-count={_MERGED}", "--format=%B", f"{name}^1..{name}^2")
                said = merged.decode("utf-8", "replace").strip()
                yield Commit(name, parents[0], date, f"{message}\n\n{said}".strip())

    def changed(self, commit: Commit) -> list[str]:
        """Paths that a commit changes, both of a renaming."""
        said = self._git("diff-tree", "-r", "-z", "--no-renames", "--name-only", commit.parent, commit.hash)
        return [path for path in said.decode("utf-8", "surrogateescape").split("\0") if path]

    def difference(self, commit: Commit, paths: Sequence[str]) -> str:
        """The change of some files as a patch."""
        options = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "--binary", "--src-prefix=a/",
                   "--dst-prefix=b/")  # fmt: skip
        return self._git("diff", *options, commit.parent, commit.hash, "--", *paths).decode("utf-8", "surrogateescape")

    def tree(self, revision: str, *, most: int) -> "Tree | str":
        """The whole tree of a revision, or why it cannot stand in a row; `most` is how many bytes may be in it."""
        entries, size = [], 0
        for entry in self._git("ls-tree", "-r", "-l", "-z", revision).split(b"\0"):
            if entry:
                about, _, path = entry.partition(b"\t")
                mode, _, name, length = about.decode().split()
                if mode not in {PLAIN, RUNS, LINK}:
                    return "its tree has submodules"
                entries.append((path, mode, name))
                size += int(length)
        if size > most:
            return "its tree is too large for a row"
        files: dict[str, str] = {}
        blobs: dict[str, Blob] = {}
        for (path, mode, _), data in zip(entries, self._blobs([name for _, _, name in entries]), strict=True):
            try:
                named = path.decode()
            except UnicodeDecodeError:
                return "its tree has file names that are not UTF-8"
            if mode == PLAIN and (text := _text(data)) is not None:
                files[named] = text
            else:
                blobs[named] = blob(data, mode)
        return Tree(files, blobs, self._git("rev-parse", f"{revision}^{{tree}}").decode().strip())

    def _blobs(self, names: Sequence[str]) -> Iterator[bytes]:
        """Contents of objects, all read by one git."""
        said = self._git("cat-file", "--batch", data="".join(f"{name}\n" for name in names).encode())
        place = 0
        for name in names:
            line, _, _ = said[place : place + 200].partition(b"\n")
            about = line.decode("ascii", "replace").split()
            if len(about) != 3:
                raise ConfigError(f"cannot read the history of {self._root}: the object {name} is not there")
            begin = place + len(line) + 1
            place = begin + int(about[2]) + 1
            yield said[begin : place - 1]


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a revision as a row has them, and git's name for them all."""

    files: dict[str, str]
    blobs: dict[str, Blob]
    hash: str

    @property
    def paths(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.files, *self.blobs))


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
