"""Images of the sandbox: those that are there, those a registry gives, those that are built here."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcode_sandbox import debian
from qcode_sandbox.cleanup import in_own_thread
from qcode_sandbox.docker_client import connected, engine_errors
from qcode_sandbox.errors import SandboxUnavailable
from qcode_sandbox.pip_settings import pip_settings
from qcode_sandbox.recipe import Recipe, read, readable
from qcode_sandbox.scratch import scratch
from qcode_sandbox.specs import DEFAULT_IMAGE

if TYPE_CHECKING:
    from docker import APIClient

OnLine = Callable[[str], None]

_LOCK_POLL_S = 0.2
_LAST_LINES = 12
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def _silent(line: str) -> None:
    del line


async def image_exists(tag: str) -> bool:
    """Whether the engine has an image. Raises: SandboxError."""
    async with connected() as client:
        return await asyncio.to_thread(_exists, client, tag)


async def ensure_image(name: str | Recipe, on_line: OnLine = _silent) -> str:
    """The name of an image that is there when this returns: found, pulled, or made.

    `qcode/base`, also with a Debian suite as its tag (`qcode/base:trixie`), is qcode's own image, made from Debian
    packages on `debian:SUITE-slim` where a registry gives it, else by debootstrap; it is never pulled by its own name.
    What a recipe builds is called by the digest of all that went in, and so built once.
    Raises: SandboxUnavailable.
    """
    async with connected() as client:
        return await ensure_with(client, name, on_line)


async def ensure_with(client: APIClient, wanted: str | Recipe, on_line: OnLine, *, fetch: bool = True) -> str:
    """As `ensure_image`, with a client that is there; without `fetch` nothing is pulled or built.

    Raises: SandboxUnavailable.
    """
    name = wanted if isinstance(wanted, str) else await _from_recipe(client, wanted, on_line, fetch=fetch)
    if not (suite := _own_suite(name)):
        if not await asyncio.to_thread(_exists, client, name):
            _require(fetch, name)
            await _pull(client, name, on_line)
        return name
    tag = debian.base_tag(suite)
    if await asyncio.to_thread(_exists, client, tag):
        return tag
    _require(fetch, tag)
    on_line(f"making the sandbox's image {tag} (once, about a minute)")
    try:
        if not await asyncio.to_thread(_exists, client, f"debian:{suite}-slim"):
            await _pull(client, f"debian:{suite}-slim", on_line)
    except SandboxUnavailable as error:
        on_line(f"{error}; making it with debootstrap")
        await debootstrap_base(suite, debian.BASE_PACKAGES, tag, on_line)
        return tag
    async with scratch() as context:
        (context / "Dockerfile").write_text(debian.dockerfile(suite), encoding="utf-8")
        await build_image(context, tag=tag, network="host", on_line=on_line)
    return tag


async def _from_recipe(client: APIClient, recipe: Recipe, on_line: OnLine, *, fetch: bool) -> str:
    found = await asyncio.to_thread(read, recipe.file)
    if isinstance(found, str):
        return found
    with readable(recipe.file):
        tag = f"qcode/made:{(await asyncio.to_thread(found.digest))[:24]}"
    if not await asyncio.to_thread(_exists, client, tag):
        _require(fetch, f"that {recipe.file} describes")
        settings = await pip_settings() if recipe.network else None
        async with scratch() as folder:
            with readable(recipe.file):
                arguments = await asyncio.to_thread(found.copy_to, folder, settings)
            await build_image(
                folder,
                tag=tag,
                network="host" if recipe.network else "none",
                on_line=on_line,
                dockerfile=found.copied_dockerfile,
                build_args=arguments,
                target=found.target,
            )
    return tag


def _require(fetch: bool, image: str) -> None:
    if not fetch:
        raise SandboxUnavailable(
            f"the image {image} is not on this machine, and offline none is made: run once without --offline, or take "
            "--sandbox bubblewrap"
        )


async def debootstrap_base(suite: str, include: Iterable[str], tag: str, on_line: OnLine = _silent) -> None:
    """Make an image of a Debian suite with packages, and the user dev (1000), unless `tag` is there already.

    Takes about a minute, root, and debootstrap. Several that want the same image wait for one.
    Raises: SandboxUnavailable.
    """
    async with connected() as client, lock(tag, on_line):
        if await asyncio.to_thread(_exists, client, tag):
            return
        async with debian.tree(suite, include, on_line) as tree:
            on_line("importing the image")
            await in_own_thread(lambda: _import(client, tree, tag))


async def build_image(
    context: Path,
    *,
    tag: str,
    network: str = "none",
    on_line: OnLine = _silent,
    dockerfile: str = "Dockerfile",
    build_args: Mapping[str, str] | None = None,
    target: str | None = None,
) -> None:
    """Build a directory with a Dockerfile by the engine's classic builder, without pulling.

    `network`: "none", or "host" for steps that install packages; then the host's proxy settings are handed in.
    Raises: SandboxUnavailable, with the last lines of the build.
    """
    arguments = {name: value for name in _PROXIES if network == "host" and (value := os.environ.get(name))}
    arguments |= build_args or {}

    def build(client: APIClient) -> None:
        what = f"the image {tag} cannot be built"
        with engine_errors(what):
            steps = client.build(
                path=str(context),
                tag=tag,
                dockerfile=dockerfile,
                network_mode=network,
                buildargs=arguments,
                target=target,
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow(steps, what, on_line)

    async with connected() as client, lock(tag, on_line):
        await in_own_thread(lambda: build(client))


@asynccontextmanager
async def lock(tag: str, on_line: OnLine) -> AsyncIterator[None]:
    """Only one process of this user makes the image `tag` at a time."""
    name = f"qcode-image-{os.getuid()}-{hashlib.sha256(tag.encode()).hexdigest()[:16]}.lock"
    path = Path(tempfile.gettempdir(), name)
    told = False
    while (descriptor := _locked(path)) is None:
        if not told:
            on_line(f"waiting for another qcode that makes {tag}")
        told = True
        await asyncio.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        _unlock(path, descriptor)


def _locked(path: Path) -> int | None:
    """The descriptor of a lock that is held from now on, None while another has it. Raises: SandboxUnavailable."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SandboxUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who held it before has removed the file that was opened here, and somebody may have made a new one.
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _unlock(path: Path, descriptor: int) -> None:
    # The file goes while the lock is still held, so that it is surely this one's.
    path.unlink(missing_ok=True)
    os.close(descriptor)


def _own_suite(name: str) -> str:
    """The Debian suite of one of qcode's own images, "" for another name."""
    if name == DEFAULT_IMAGE:
        return debian.DEFAULT_SUITE
    suite = name.removeprefix(f"{DEFAULT_IMAGE}:")
    return suite if suite != name and suite in debian.SUITES else ""


def _exists(client: APIClient, tag: str) -> bool:
    from docker.errors import ImageNotFound

    with engine_errors(f"the image {tag} cannot be looked for"):
        try:
            client.inspect_image(tag)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return False
    return True


async def _pull(client: APIClient, name: str, on_line: OnLine) -> None:
    from docker.utils import parse_repository_tag

    def pull() -> None:
        what = f"the image {name} is not here and cannot be pulled"
        repository, tag = parse_repository_tag(name)
        with engine_errors(what):
            _follow(client.pull(repository, tag or "latest", stream=True, decode=True), what, on_line)

    await in_own_thread(pull)


def _follow(steps: Iterable[dict[str, Any]], what: str, on_line: OnLine) -> None:
    """Hand on what the engine says. Raises: SandboxUnavailable when it says that it failed."""
    said: list[str] = []
    failure = ""
    for step in steps:  # to the end, so that the connection is given back
        if "error" in step:
            failure = "\n".join([*said[-_LAST_LINES:], str(step["error"]).strip()])
        text = step.get("stream") or (step.get("status") if not step.get("progressDetail") else "")
        for line in str(text or "").splitlines():
            if line.strip():
                said.append(line.rstrip())
                on_line(line.rstrip())
    if failure:
        raise SandboxUnavailable(f"{what}: {failure}")


def _import(client: APIClient, tree: Path, tag: str) -> None:
    import subprocess

    repository, _, version = tag.rpartition(":")
    pack = ["tar", "-C", str(tree), "--numeric-owner", "--one-file-system", "-c", "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/") as tar:
        with engine_errors(f"the image {tag} cannot be imported"):
            said = client.import_image_from_stream(
                tar.stdout, repository=repository, tag=version, changes=debian.SETTINGS
            )
        if tar.wait() != 0 or '"error' in str(said):
            raise SandboxUnavailable(f"the image {tag} cannot be imported: {str(said).strip()[-300:]}")
