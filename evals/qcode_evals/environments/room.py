"""Room on the engine's disk: images that are in use are held, and others are removed when the disk is short.

Each image has a file that is named like it. Who uses the image holds a shared lock on the file, also across processes,
and the kernel lets go of it however a process ends; who removes the image needs the lock alone. The file's time says
when the image was last needed.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qcode.config.paths import cache_dir
from qcode_sandbox.errors import SandboxUnavailable
from qcode_sandbox.stored import StoredImage, free_bytes, remove_image, stored_images

REPOSITORIES = ("qcode-eval", "qcode-eval-env", "qcode-eval-context", "qcode-eval-base")
FLOOR_GB = 5.0
_GB = 1_000_000_000
_POLL_S = 0.05


def _silent(line: str) -> None:
    del line


@dataclass
class Room:
    """Keeps `floor_gb` free where the engine has its layers. `on_note` is told what was removed."""

    floor_gb: float = FLOOR_GB
    on_note: Callable[[str], None] = _silent
    repositories: tuple[str, ...] = REPOSITORIES
    folder: Path = field(default_factory=lambda: cache_dir() / "evals" / "images")
    _held: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Descriptor of each held image's file, and how many hold it here."""
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def hold(self, tag: str) -> None:
        """Have an image kept, or one that is about to be made, until `release`. Raises: SandboxUnavailable."""
        while tag not in self._held:
            descriptor = self._opened(tag)
            if _locked(descriptor, fcntl.LOCK_SH) and os.fstat(descriptor).st_nlink:
                os.utime(descriptor)
                self._held[tag] = (descriptor, 0)
            else:  # it is being removed at this moment
                os.close(descriptor)
                await asyncio.sleep(_POLL_S)
        descriptor, count = self._held[tag]
        self._held[tag] = (descriptor, count + 1)

    def release(self, tag: str) -> None:
        """One less holds it here."""
        descriptor, count = self._held.pop(tag)
        if count > 1:
            self._held[tag] = (descriptor, count - 1)
        else:
            os.close(descriptor)

    async def make(self) -> None:
        """See that there is room for one more image: remove what is not in use, unneeded for longest first, until the
        floor is met. Raises: SandboxUnavailable if it cannot be met."""
        async with self._making:
            free = await free_bytes()
            if free is None or free >= self.floor_gb * _GB:
                return
            removed = 0
            while free is not None and free < self.floor_gb * _GB and (tag := await self._remove_one()):
                removed += 1
                self.on_note(f"{free / _GB:.1f} GB are free, the floor is {self.floor_gb:g}: removed the image {tag}")
                free = await free_bytes()
            if free is not None and free < self.floor_gb * _GB:
                raise SandboxUnavailable(
                    f"only {free / _GB:.1f} GB are free where Docker keeps its layers, and no image is built below "
                    f"{self.floor_gb:g} (--disk-floor); {removed} images of earlier tasks were removed, and no more "
                    "can be: make room, with docker system prune for example"
                )

    async def prune(self, *, unused_s: float, now: float) -> list[StoredImage]:
        """Remove all images that were not needed for so long and are not in use, and return them."""
        removed: list[StoredImage] = []
        while True:
            images = await stored_images(*self.repositories)
            old = [image for image in _tops(images) if now - self._needed(image) >= unused_s]
            gone = [image for image in old if await self._remove(image.tag)]
            if not gone:
                return removed
            removed += gone

    async def _remove_one(self) -> str | None:
        images = await stored_images(*self.repositories)
        for image in sorted(_tops(images), key=self._needed):
            if await self._remove(image.tag):
                return image.tag
        return None

    async def _remove(self, tag: str) -> bool:
        """Unless someone holds it."""
        if tag in self._held:
            return False
        descriptor = self._opened(tag)
        try:
            if not _locked(descriptor, fcntl.LOCK_EX) or not await remove_image(tag):
                return False
            self._file(tag).unlink(missing_ok=True)
            return True
        finally:
            os.close(descriptor)

    def _needed(self, image: StoredImage) -> float:
        """When it was needed last; of one that nobody here held, when it was made."""
        try:
            return self._file(image.tag).stat().st_mtime
        except OSError:
            return image.created

    def _file(self, tag: str) -> Path:
        return self.folder / tag.replace("/", "%").replace(":", "%")

    def _opened(self, tag: str) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._file(tag), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SandboxUnavailable(f"{self._file(tag)} cannot be opened: {error.strerror}") from None


def _tops(images: Sequence[StoredImage]) -> list[StoredImage]:
    """Images that no other stands on: removing another one frees nothing."""
    return [image for image in images if not any(image.is_below(other) for other in images)]


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
