"""Images are kept while they are used, and go when the disk is short."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qcode_evals.environments.room import Room
from qcode_sandbox.errors import SandboxUnavailable
from qcode_sandbox.images import build_image, ensure_image, image_exists
from qcode_sandbox.stored import StoredImage, free_bytes, remove_image, stored_images

pytestmark = pytest.mark.docker

REPOSITORY = "qcode-test/room"
MORE_THAN_ANY_DISK = 1e9
HOLDER = """
import asyncio, sys
from pathlib import Path
from qcode_evals.environments.room import Room

async def main():
    await Room(folder=Path(sys.argv[1])).hold(sys.argv[2])
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def image(folder: Path, name: str, *, below: str) -> str:
    tag = f"{REPOSITORY}:{name}"
    (folder / "name").write_text(name, encoding="utf-8")
    (folder / "Dockerfile").write_text(f"FROM {below}\nCOPY name /name\n", encoding="utf-8")
    await build_image(folder, tag=tag, network="none", on_line=lambda line: None)
    return tag


@pytest.fixture
async def images(tmp_path: Path) -> AsyncIterator[list[str]]:
    """Two that stand on one."""
    base = await ensure_image("qcode/base")
    context = tmp_path / "context"
    context.mkdir()
    below = await image(context, "below", below=base)
    tags = [below, await image(context, "first", below=below), await image(context, "second", below=below)]
    yield tags
    for tag in reversed(tags):
        await remove_image(tag)


async def there(tags: list[str]) -> list[str]:
    return [tag for tag in tags if await image_exists(tag)]


async def test_below_the_floor_what_is_unneeded_longest_goes_and_what_is_held_stays(
    tmp_path: Path, images: list[str]
) -> None:
    below, first, second = images
    told: list[str] = []
    room = Room(MORE_THAN_ANY_DISK, told.append, repositories=(REPOSITORY,), folder=tmp_path / "held")
    await room.hold(first)
    with pytest.raises(SandboxUnavailable, match="1 images of earlier tasks were removed, and no more can be"):
        await room.make()
    assert await there(images) == [below, first], "it stands on one that is held"
    assert len(told) == 1
    assert told[0].endswith(f"the floor is 1e+09: removed the image {second}")
    room.release(first)
    with pytest.raises(SandboxUnavailable):
        await room.make()
    assert await there(images) == []
    assert [line.rpartition(" ")[2] for line in told] == [second, first, below]


async def test_above_the_floor_nothing_goes(tmp_path: Path, images: list[str]) -> None:
    await Room(0.0, repositories=(REPOSITORY,), folder=tmp_path / "held").make()
    assert await there(images) == images
    free = await free_bytes()
    assert free is not None
    assert free > 0


async def test_another_process_holds_until_it_is_killed(tmp_path: Path, images: list[str]) -> None:
    held = tmp_path / "held"
    room = Room(repositories=(REPOSITORY,), folder=held)
    with subprocess.Popen(  # noqa: ASYNC220 (it only starts)
        [sys.executable, "-P", "-c", HOLDER, str(held), images[1]], stdout=subprocess.PIPE, cwd=tmp_path
    ) as child:
        assert child.stdout is not None
        assert await asyncio.to_thread(child.stdout.readline) == b"held\n"
        now = time.time()
        assert await room.prune(unused_s=3600, now=now) == [], "they are new"
        assert [one.tag for one in await room.prune(unused_s=0, now=now + 1)] == [images[2]]
        child.kill()
    await room.hold(images[1])
    room.release(images[1])
    assert [one.tag for one in await room.prune(unused_s=0, now=time.time() + 1)] == [images[1], images[0]]


async def test_what_stands_on_what(images: list[str]) -> None:
    stored = {one.tag: one for one in await stored_images(REPOSITORY)}
    assert set(stored) == set(images)
    below, first, second = (stored[tag] for tag in images)
    assert below.is_below(first)
    assert not first.is_below(second)
    assert not first.is_below(below)
    assert not StoredImage("a:1", 1, 0.0, ("x",)).is_below(StoredImage("a:2", 1, 0.0, ("x",)))
