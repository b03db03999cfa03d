"""A repository's tree as data in a row: text by path, and what is more than text.

Git's modes are kept: plain files, files that can be run, and links. Nothing is ever written through a link.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

LINK, RUNS, PLAIN = "120000", "100755", "100644"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or ".git" in parts or "\0" in path:
        raise ValueError(f"{path!r} is not a path inside the repository")
    return path


RepositoryPath = Annotated[str, BeforeValidator(_inside)]


class Blob(BaseModel):
    """A file that is more than plain text: its bytes in base64 (of a link, the path that it names), and git's mode."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base64: str
    mode: Literal["100644", "100755", "120000"] = "100644"

    @field_validator("base64")
    @classmethod
    def _can_be_read(cls, text: str) -> str:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not base64") from None
        return text

    @property
    def data(self) -> bytes:
        """What stands in it."""
        return base64.b64decode(self.base64)


class Files(BaseModel):
    """A tree: text by path, and `blobs` by path beside it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files: dict[RepositoryPath, str] = Field(min_length=1)
    blobs: dict[RepositoryPath, Blob] = {}

    @model_validator(mode="after")
    def _apart(self) -> "Files":
        """No file stands where another needs a folder: what is written below a link would land elsewhere."""
        for path in (*self.files, *self.blobs):
            above = next((str(folder) for folder in PurePosixPath(path).parents if self._holds(str(folder))), None)
            if above is not None or (path in self.files and path in self.blobs):
                raise ValueError(f"{path!r} and {above or path!r} cannot both be files")
        return self

    def _holds(self, path: str) -> bool:
        return path in self.files or path in self.blobs

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.files, *self.blobs)


def blob(data: bytes, mode: str) -> Blob:
    """A file as a row holds it."""
    return Blob.model_validate({"base64": base64.b64encode(data).decode("ascii"), "mode": mode})


def write_tree(root: Path, tree: Files) -> None:
    """Write a tree below a folder that is there for it alone. Raises: OSError."""
    for path, text in tree.files.items():
        _write(root / path, text.encode(), PLAIN)
    for path, one in tree.blobs.items():
        _write(root / path, one.data, one.mode)


def _write(target: Path, data: bytes, mode: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if mode == LINK:
        target.symlink_to(data.decode("utf-8", "surrogateescape"))
        return
    target.write_bytes(data)
    target.chmod(0o755 if mode == RUNS else 0o644)


def tree_hash(files: Mapping[str, str]) -> str:
    """What git calls a tree of plain files: SHA-1 over its entries, which are sorted as if folders ended in a slash."""
    folders: dict[str, dict[str, str]] = {}
    entries: list[tuple[str, str, str]] = []
    for path, text in files.items():
        first, _, rest = path.partition("/")
        if rest:
            folders.setdefault(first, {})[rest] = text
        else:
            entries.append((first, PLAIN, _object("blob", text.encode())))
    entries += [(name + "/", "40000", tree_hash(inner)) for name, inner in folders.items()]
    body = b"".join(
        f"{mode} {name.removesuffix('/')}\0".encode() + bytes.fromhex(value)
        for name, mode, value in sorted(entries, key=lambda entry: entry[0].encode())
    )
    return _object("tree", body)


def _object(kind: str, body: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()
