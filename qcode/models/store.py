"""The model files of this machine: where they lie, and that a damaged one is never loaded.

A pulled model has a folder of its own in models_dir(): its GGUF files and the receipt of their check.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from qcode.config.paths import data_dir
from qcode.errors import ConfigError, ModelFileError
from qcode.models.card import ModelCard
from qcode.models.digest import Advance, ignore, sha256_of
from qcode.models.gguf import GgufHeader, read_header
from qcode.models.receipt import RECEIPT_NAME, Receipt, checked, read_receipt, write_receipt
from qcode.models.registry import card_of_file, find, lookup

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
    missing = [path for path in paths(card) if not path.is_file()]
    if missing:
        raise ModelFileError(f"model {card.name} is not on this machine: run `qcode models pull {card.name}`")
    receipt = read_receipt(folder(card))
    try:
        unchanged = receipt is not None and _agrees(receipt, card)
    except OSError as error:
        raise ModelFileError(f"cannot read {folder(card)}: {error.strerror or error}") from error
    if not unchanged:
        verify(card)
    return ModelFile(paths(card)[0], card)


def _agrees(receipt: Receipt, card: ModelCard) -> bool:
    names = tuple(file.name for file in receipt.files)
    if names != tuple(file.name for file in card.gguf.files):
        return False
    return all(file.unchanged(path) for file, path in zip(receipt.files, paths(card), strict=True))


def _resolve_path(path: Path) -> ModelFile:
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder: name the .gguf file in it (the first one of a split model)")
    if not path.exists():
        raise ModelFileError(f"there is no file {path}: give a .gguf file, or a name of `qcode models list`")
    header = read_header(path)
    return ModelFile(path.resolve(), card_of_file(path) or _card_of_header(header))


def _card_of_header(header: GgufHeader) -> ModelCard | None:
    """The model that the header names, by base name, size and the first word of its fine-tuning."""
    parts = [header.values.get(f"general.{key}") for key in ("basename", "size_label", "finetune")]
    base, size, tuned = (str(part) if part else "" for part in parts)
    return lookup("-".join(filter(None, (base, size, tuned.partition("-")[0]))))


def verify(card: ModelCard, advance: Advance = ignore) -> Receipt:
    """Hash the files of a pulled model again and renew its receipt.

    The registry's digest decides; where it has none, the one recorded at download. A damaged model loses its receipt.
    Raises: ConfigError when the model is not there, ModelFileError when it is damaged.
    """
    if not is_pulled(card):
        raise ConfigError(f"model {card.name} is not on this machine: run `qcode models pull {card.name}`")
    old = read_receipt(folder(card))
    recorded = {file.name: file.sha256 for file in old.files} if old else {}
    lines = []
    for file, path in zip(card.gguf.files, paths(card), strict=True):
        try:
            line = checked(path, sha256_of(path, advance))
        except OSError as error:
            raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
        expected = file.sha256 or recorded.get(file.name)
        if line.sha256 != expected:
            _distrust(card)
            why = "is damaged (its SHA-256 is wrong)" if expected else "was never checked"
            raise ModelFileError(f"{path} {why}: run `qcode models pull {card.name}` to fetch it again")
        lines.append(line)
    receipt = Receipt(model=card.name, source=old.source if old else "unknown", files=tuple(lines))
    # A shared folder may not be ours to write: the check itself has passed.
    with contextlib.suppress(OSError):
        write_receipt(folder(card), receipt)
    return receipt


def _distrust(card: ModelCard) -> None:
    with contextlib.suppress(OSError):
        (folder(card) / RECEIPT_NAME).unlink(missing_ok=True)


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
