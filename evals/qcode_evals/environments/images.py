"""Images of the rows, made when they are first needed: a base per Debian suite, an environment per list of
requirements, a tree per row (layers.py has what is in them).
"""

import asyncio
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path

from qcode_evals.environments.layers import (
    PACKAGES,
    base_tag,
    context_tag,
    environment_dockerfile,
    environment_tag,
    instance_dockerfile,
    instance_tag,
    run_line,
)
from qcode_evals.environments.room import Room
from qcode_evals.environments.sources import SourceError, fetch
from qcode_evals.tasks.dataset import ContextSource, FilesSource, ImageSource, Instance, SdistSource
from qcode_evals.tasks.trees import write_tree
from qcode_sandbox.errors import SandboxError, SandboxUnavailable
from qcode_sandbox.images import build_image, ensure_image, image_exists
from qcode_sandbox.pip_settings import PipSettings
from qcode_sandbox.scratch import scratch
from qcode_sandbox.specs import DEFAULT_IMAGE

_CERTIFICATES = "/opt/qcode-ca.crt"
_ANY = f"{DEFAULT_IMAGE}:latest"
"""An image to ask an engine for, whether it has it or not."""


class Layer(StrEnum):
    """What an image is built for; the first two are shared by many rows and take longest."""

    BASE = "base"
    ENVIRONMENT = "environment"
    TREE = "tree"


OnBuild = Callable[[Layer, str, str], None]
"""Told what a build says: the layer, whose it is (a Debian suite, an instance), a line."""


def _silent(layer: Layer, name: str, line: str) -> None:
    del layer, name, line


class Images:
    """Makes the images of rows, each once however many ask for it; what failed twice is not tried again. An image is
    kept from `ensure` to `release`; after it, it may be removed when the disk is short (room.py)."""

    def __init__(self, pip: PipSettings, *, room: Room | None = None, on_build: OnBuild = _silent) -> None:
        self._pip = pip
        self._on_build = on_build
        self._room = room or Room()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._failures: defaultdict[str, list[Exception]] = defaultdict(list)

    async def ready(self) -> None:
        """Whether an engine answers. Raises: SandboxError."""
        await image_exists(_ANY)

    async def ensure(self, instance: Instance) -> str:
        """The tag of a row's image, which is there when this returns. Raises: SandboxError, SourceError."""
        tag = instance_tag(instance)
        await self._once(tag, lambda: self._build_instance(tag, instance))
        return tag

    async def requirements(self, instance: Instance) -> None:
        """Have the layer below a row's tree there, which all rows with its requirements share.

        Raises: SandboxError, SourceError.
        """
        tag = environment_tag(instance)
        async with self._below(tag, lambda: self._build_environment(tag, instance)):
            pass

    def release(self, instance: Instance) -> None:
        """What `ensure` gave is no longer in use; once for each time."""
        self._room.release(instance_tag(instance))

    async def _once(self, tag: str, build: Callable[[], Awaitable[None]]) -> None:
        """Have the image there, and held."""
        async with self._locks[tag]:
            await self._room.hold(tag)
            try:
                if await image_exists(tag):
                    return
                await self._room.make()
                if len(self._failures[tag]) >= 2:
                    raise self._failures[tag][-1]
                try:
                    await build()
                except (SandboxError, SourceError) as error:
                    self._failures[tag].append(error)
                    raise
                except OSError as error:
                    raise SandboxUnavailable(f"what the image needs cannot be written: {error.strerror}") from error
            except BaseException:
                self._room.release(tag)
                raise

    @asynccontextmanager
    async def _below(self, tag: str, build: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """A layer that another is being made on."""
        await self._once(tag, build)
        try:
            yield
        finally:
            self._room.release(tag)

    async def _build_base(self, tag: str, suite: str) -> None:
        """On the sandbox's own image of the suite, so that a machine that has one makes it only once."""
        sandbox = await ensure_image(f"{DEFAULT_IMAGE}:{suite}", partial(self._on_build, Layer.BASE, suite))
        async with scratch() as context:
            install = (
                f"DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {' '.join(PACKAGES)}"
            )
            cleanup = "rm -rf /var/lib/apt/lists/* /var/cache/apt/*"
            dockerfile = f"FROM {sandbox}\n{run_line('apt-get update -q', install, cleanup)}\n"
            await _build(context, dockerfile, tag, partial(self._on_build, Layer.BASE, suite), network="host")

    async def _build_environment(self, tag: str, instance: Instance) -> None:
        suite = instance.environment.suite
        base = base_tag(suite)
        on_line = partial(self._on_build, Layer.ENVIRONMENT, instance.instance_id)
        async with scratch() as context:
            certificates = _CERTIFICATES if self._pip.cert else ""
            if self._pip.cert:
                await asyncio.to_thread(shutil.copyfile, self._pip.cert, context / "ca.crt")
            dockerfile = environment_dockerfile(instance, self._pip, certificates)
            async with self._below(base, lambda: self._build_base(base, suite)):
                await _build(context, dockerfile, tag, on_line, network="host")

    async def _build_context(self, tag: str, name: str, context: Path) -> None:
        """A task's own Dockerfile, whose steps may reach the network."""
        await build_image(context, tag=tag, network="host", on_line=partial(self._on_build, Layer.ENVIRONMENT, name))

    async def _build_instance(self, tag: str, instance: Instance) -> None:
        match instance.environment.source:
            case ImageSource(image=image, context=context, digest=digest) if context:
                await self._build_on_given(tag, instance, image, context, digest)
            case ContextSource(image=image, context=context, digest=digest):
                await self._build_on_given(tag, instance, image, context, digest)
            case ImageSource(image=image):
                await ensure_image(image, partial(self._on_build, Layer.ENVIRONMENT, instance.instance_id))
                await self._build_tree(tag, instance)
            case _:
                environment = environment_tag(instance)
                async with self._below(environment, lambda: self._build_environment(environment, instance)):
                    await self._build_tree(tag, instance)

    async def _build_on_given(self, tag: str, instance: Instance, image: str, context: str, digest: str) -> None:
        """On the image that a registry gives, or else on what the task's own Dockerfile makes."""
        name = instance.instance_id
        if image:
            try:
                await ensure_image(image, partial(self._on_build, Layer.ENVIRONMENT, name))
                await self._build_tree(tag, instance, image)
                return
            except SandboxError as error:
                self._on_build(Layer.ENVIRONMENT, name, f"{error}; making it from the task's Dockerfile")
        own = context_tag(digest)
        async with self._below(own, lambda: self._build_context(own, name, Path(context))):
            await self._build_tree(tag, instance, own)

    async def _build_tree(self, tag: str, instance: Instance, below: str = "") -> None:
        async with scratch() as place:
            match instance.environment.source:
                case ImageSource() | ContextSource():
                    pass
                case FilesSource() as tree:
                    await asyncio.to_thread(write_tree, place / "tree", tree)
                case SdistSource(base_patch=patch) as source:
                    archive = await fetch(source, self._pip)
                    (place / "src").mkdir()
                    await asyncio.to_thread(shutil.copyfile, archive, place / "src/sdist")
                    if patch:
                        (place / "src/base.patch").write_text(patch, encoding="utf-8", newline="")
            await _build(
                place,
                instance_dockerfile(instance, below),
                tag,
                partial(self._on_build, Layer.TREE, instance.instance_id),
                network="none",
            )


async def _build(context: Path, dockerfile: str, tag: str, on_line: Callable[[str], None], *, network: str) -> None:
    (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    await build_image(context, tag=tag, network=network, on_line=on_line)
