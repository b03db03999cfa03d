"""The model files of this machine: where they lie, and that a damaged one is never loaded.

A pulled model has a folder of its own in models_dir(): its GGUF files and the receipt of their check.
"""

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from qcode.config.paths import data_dir
from qcode.errors import ConfigError, ModelFileError
from qcode.models.card import ModelCard
from qcode.models.digest import Advance, ignore, sha256_of
from qcode.models.gguf import GgufHeader, read_header
from qcode.models.receipt import Receipt, checked, read_receipt, write_receipt
from qcode.models.registry import card_of_file, find, load_registry, lookup

DIRECTORY_VARIABLE = "QCODE_MODELS_DIR"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file that may be loaded, or the first of its shards; `card` is None for a model nobody registered."""

    path: Path
    card: ModelCard | None


def models_dir() -> Path:
    """Where pulled models lie: $QCODE_MODELS_DIR, which several users or CI jobs may share, or the data folder."""
    value = os.environ.get(DIRECTORY_VARIABLE, "")
    return Path(value).expanduser().absolute() if value else data_dir() / "models"


def folder(card: ModelCard) -> Path:
    return models_dir() / card.name


def paths(card: ModelCard) -> tuple[Path, ...]:
    """Where the files of a pulled model lie, in the order of the shards."""
    return tuple(folder(card) / file.name for file in card.gguf.files)


def is_pulled(card: ModelCard) -> bool:
    """Whether all its files are there; says nothing about what is in them."""
    return all(path.is_file() for path in paths(card))


def resolve(name_or_path: str | Path) -> ModelFile:
    """The file to load for a registered name or a path of a .gguf file.

    A pulled model is trusted while size and time of change are those of its receipt, and hashed again when they differ;
    a file given by path is checked as far as its header tells. Raises: ConfigError, ModelFileError.
    """
    card = None if isinstance(name_or_path, Path) else lookup(name_or_path)
    if card is not None:
        return _resolve_card(card)
    path = Path(name_or_path).expanduser()
    if path.suffix.casefold() != ".gguf" and not path.exists():
        find(str(name_or_path))
    return _resolve_path(path)


def _resolve_card(card: ModelCard) -> ModelFile:
    if not is_pulled(card):
        raise ModelFileError(f"model {card.name} is not on this machine: run `qcode models pull {card.name}`")
    receipt = read_receipt(folder(card))
    try:
        trusted = receipt is not None and all(
            line is not None and line.unchanged(path)
            for line, path in zip(map(receipt.line, card.gguf.files), paths(card), strict=True)
        )
    except OSError as error:
        raise ModelFileError(f"cannot read {folder(card)}: {error.strerror or error}") from error
    if not trusted:
        verify(card)
    return ModelFile(paths(card)[0], card)


def _resolve_path(path: Path) -> ModelFile:
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder: name the .gguf file in it (the first one of a split model)")
    if not path.exists():
        raise ModelFileError(f"there is no file {path}: give a .gguf file, or a name of `qcode models list`")
    header = read_header(path)
    for shard in _other_shards(path):
        if not shard.is_file():
            raise ModelFileError(f"{path.name} is the first part of several, and {shard.name} is not beside it")
        read_header(shard)
    return ModelFile(path.resolve(), card_of_file(path) or _card_of_header(header))


def _other_shards(path: Path) -> list[Path]:
    """The files that llama.cpp will open after this one, by the names that gguf-split gives. Raises: ModelFileError."""
    split = re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})\.gguf", path.name, re.IGNORECASE)
    if split is None:
        return []
    stem, number, count = split[1], int(split[2]), int(split[3])
    if number != 1:
        raise ModelFileError(
            f"{path} is a later part of a split model: name the first, {stem}-00001-of-{split[3]}.gguf"
        )
    return [path.with_name(f"{stem}-{n:05}-of-{split[3]}.gguf") for n in range(2, count + 1)]


def _card_of_header(header: GgufHeader) -> ModelCard | None:
    """The model that the header names, by base name, size and the first word of its fine-tuning."""
    parts = [header.values.get(f"general.{key}") for key in ("basename", "size_label", "finetune")]
    base, size, tuned = (str(part) if part else "" for part in parts)
    title = "-".join(filter(None, (base, size, tuned.partition("-")[0]))).casefold()
    return next((card for card in load_registry() if card.title.casefold() == title), None)


def verify(card: ModelCard, advance: Advance = ignore) -> Receipt:
    """Hash the files of a pulled model again and renew its receipt.

    The registry's digest decides; where it has none, the one recorded at download. A damaged file is hashed
    again at every start until it is replaced.
    Raises: ConfigError when the model is not there, ModelFileError when it is damaged.
    """
    if not is_pulled(card):
        raise ConfigError(f"model {card.name} is not on this machine: run `qcode models pull {card.name}`")
    old = read_receipt(folder(card)) or Receipt(model=card.name, source="unknown", files=())
    lines = []
    for file, path in zip(card.gguf.files, paths(card), strict=True):
        recorded = old.line(file)
        expected = file.sha256 or (recorded.sha256 if recorded else None)
        try:
            line = checked(path, sha256_of(path, advance))
        except OSError as error:
            raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
        if line.sha256 != expected:
            _renew(card, old.distrusting(file))
            why = "is damaged (its SHA-256 is wrong)" if expected else "was never checked"
            raise ModelFileError(f"{path} {why}: run `qcode models pull {card.name}` to fetch it again")
        lines.append(line)
    receipt = old.model_copy(update={"files": tuple(lines)})
    _renew(card, receipt)
    return receipt


def _renew(card: ModelCard, receipt: Receipt) -> None:
    # A shared folder may not be ours to write; the check itself has been made.
    with contextlib.suppress(OSError):
        write_receipt(folder(card), receipt)


def remove(card: ModelCard) -> int:
    """Delete the files of a model; returns the bytes that were freed. Raises: ConfigError, ModelFileError."""
    where = folder(card)
    if not where.is_dir():
        raise ConfigError(f"model {card.name} is not on this machine; see `qcode models list`")
    try:
        freed = sum(path.stat().st_size for path in where.iterdir() if path.is_file())
        shutil.rmtree(where)
    except OSError as error:
        raise ModelFileError(f"cannot remove {where}: {error.strerror or error}") from error
    return freed
