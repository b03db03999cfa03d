"""A sandbox of each kind over the same small tree."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from qcode_sandbox import BubblewrapSpec, DockerSpec, HostSpec, Sandbox, SandboxSpec, Source, open_sandbox

TREE: dict[str, bytes] = {
    ".gitignore": b"*.log\nbuild/\n",
    ".gitattributes": b"* text=auto\n*.dat filter=lfs diff=lfs merge=lfs -text\n",
    "README.md": "# Café\n".encode(),
    "calc/add.py": b"def add(a, b):\n    return a - b\n",
    "calc/crlf.txt": b"one\r\ntwo\r\n",
    "calc/blob.bin": bytes(range(256)),
    "keep.log": b"tracked though ignored\n",
    "no-newline.txt": b"last line",
    "latin1.txt": "caf\u00e9\n".encode("latin-1"),
    "run.sh": b"#!/bin/sh\necho ran\n",
    "space name.txt": b"x\n",
    "secret.txt": b"mine\n",
}

OpenBox = Callable[[], AbstractAsyncContextManager[Sandbox]]


def make_tree(root: Path) -> Source:
    for name, content in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "run.sh").chmod(0o755)
    (root / "secret.txt").chmod(0o600)
    (root / "link").symlink_to("README.md")
    (root / "away").symlink_to("/etc/hostname")
    return Source(root, [*TREE, "link", "away"])


def spec_of(kind: str, source: Source) -> SandboxSpec:
    match kind:
        case "host":
            return HostSpec(source=source)
        case "bubblewrap":
            return BubblewrapSpec(source=source)
        case _:
            return DockerSpec(source=source)


@pytest.fixture(scope="module", params=["host", "bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sandbox_source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_tree(tmp_path_factory.mktemp("repository"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(sandbox_kind: str, sandbox_source: Source) -> AsyncIterator[Sandbox]:
    """One sandbox for the tests that do not change its tree for good."""
    async with open_sandbox(spec_of(sandbox_kind, sandbox_source)) as sandbox:
        yield sandbox


@pytest.fixture
def open_box(sandbox_kind: str, sandbox_source: Source) -> OpenBox:
    """Opens a fresh sandbox."""
    return lambda: open_sandbox(spec_of(sandbox_kind, sandbox_source))
