"""Attacks act from inside a sandbox of each kind; what they did is looked for from outside."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from outside import Host, jail_spec

from qcode_sandbox import Sandbox, Source, open_sandbox


@pytest.fixture(scope="module", params=["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    root = Path(tempfile.mkdtemp(prefix="qcode-canary-"))
    root.chmod(0o777)
    secret = f"canary-{os.urandom(16).hex()}"
    (root / "secret").write_text(secret, encoding="utf-8")
    (root / "secret").chmod(0o666)
    yield Host(root, secret)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Source:
    """A repository that already holds links to the canary."""
    root = tmp_path_factory.mktemp("repository")
    (root / "a.txt").write_text("a\n", encoding="utf-8")
    (root / "link").symlink_to(host.file)
    (root / "folder").symlink_to(host.root)
    return Source(root, ["a.txt", "link", "folder"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jail(kind: str, tree: Source) -> AsyncIterator[Sandbox]:
    async with open_sandbox(jail_spec(kind, tree)) as sandbox:
        yield sandbox
