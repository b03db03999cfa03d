"""How qcode's own image is described, and found again."""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from waiting import mark

from qcode_sandbox import SandboxUnavailable, debian, open_sandbox
from qcode_sandbox.images import ensure_image, image_exists, lock
from qcode_sandbox.recipe import Recipe
from qcode_sandbox.specs import DockerSpec


def test_each_suite_has_a_name_that_follows_its_recipe() -> None:
    tags = {debian.base_tag(suite) for suite in debian.SUITES}
    assert len(tags) == len(debian.SUITES)
    assert all(tag.startswith("qcode/base:") for tag in tags)


def test_dockerfile_makes_the_same_user_and_packages() -> None:
    text = debian.dockerfile("trixie")
    assert text.startswith("FROM debian:trixie-slim\n")
    assert all(package in text for package in debian.BASE_PACKAGES)
    assert "dev:x:1000:1000" in text


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("deb http://mirror.invalid/debian bookworm main", "http://mirror.invalid/debian"),
        ("deb [arch=amd64 signed-by=/x] https://mirror.invalid/debian/ sid main", "https://mirror.invalid/debian/"),
        ("Types: deb\nURIs: http://mirror.invalid/debian\nSuites: bookworm", "http://mirror.invalid/debian"),
        ("# deb http://mirror.invalid/debian bookworm main", ""),
        ("deb http://mirror.invalid/debian-security bookworm-security main", ""),
        ("deb https://other.invalid/apt stable main", ""),
    ],
)
def test_mirror_is_the_one_that_apt_uses(tmp_path: Path, text: str, mirror: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(text + "\n", encoding="utf-8")
    assert debian.mirror(tmp_path) == mirror


@pytest.mark.docker
async def test_own_image_is_made_once_and_found_again() -> None:
    lines: list[str] = []
    tag = await ensure_image("qcode/base", lines.append)
    assert await image_exists(tag)
    lines.clear()
    assert await ensure_image("qcode/base:bookworm", lines.append) == tag
    assert lines == []


@pytest.mark.docker
async def test_own_image_of_an_unknown_suite_is_not_made() -> None:
    with pytest.raises(SandboxUnavailable, match="cannot be pulled"):
        await ensure_image("qcode/base:no-such-suite")


@pytest.mark.docker
async def test_offline_no_image_is_fetched_or_made(tmp_path: Path) -> None:
    recipe = tmp_path / "Dockerfile"
    recipe.write_text("FROM no-such-image:1\n", encoding="utf-8")
    lines: list[str] = []
    for image in ("no-such-image:1", "qcode/base:sid", Recipe(recipe)):
        spec = DockerSpec(image=image, fetch=False, on_progress=lines.append)
        with pytest.raises(SandboxUnavailable, match="not on this machine, and offline none is made"):
            async with open_sandbox(spec):
                pass
    assert lines == []


async def test_only_one_at_a_time_makes_an_image_and_no_lock_is_left() -> None:
    tag, inside, most = f"qcode-test:{mark()}", 0, 0
    told: list[str] = []
    # Named by what it is about: others at work on this machine have locks too.
    name = f"qcode-image-{os.getuid()}-{hashlib.sha256(tag.encode()).hexdigest()[:16]}.lock"
    file = Path(tempfile.gettempdir(), name)

    async def make() -> None:
        nonlocal inside, most
        async with lock(tag, told.append):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            assert await asyncio.to_thread(file.exists)
            inside -= 1

    await asyncio.gather(*(make() for _ in range(8)))
    assert (most, inside) == (1, 0)
    assert told
    assert not await asyncio.to_thread(file.exists)
