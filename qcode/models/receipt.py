"""The receipt beside a pulled model: what was checked, so that it need not be checked again at every start."""

from pathlib import Path

from pydantic import ValidationError

from qcode.messages import Frozen
from qcode.models.atomic import write_text
from qcode.models.card import GgufFile

RECEIPT_NAME = "receipt.json"


class Checked(Frozen):
    """One file as it was when its SHA-256 was found right; `mtime_ns` in nanoseconds since the epoch."""

    name: str
    sha256: str
    bytes: int
    mtime_ns: int

    def unchanged(self, path: Path) -> bool:
        """Whether size and time of change still agree. Raises: OSError."""
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.mtime_ns)


class Receipt(Frozen):
    """What was pulled, in the order of the shards."""

    model: str
    source: str
    files: tuple[Checked, ...]

    def line(self, file: GgufFile) -> Checked | None:
        """What is recorded of that file."""
        return next((line for line in self.files if line.name == file.name), None)

    def distrusting(self, file: GgufFile) -> "Receipt":
        """With a line for that file that no file agrees with; its digest is kept, to check against later."""
        lines = (line.model_copy(update={"mtime_ns": -1}) if line.name == file.name else line for line in self.files)
        return self.model_copy(update={"files": tuple(lines)})


def read_receipt(directory: Path) -> Receipt | None:
    """The receipt of a model's folder; None when there is none that can be understood."""
    try:
        return Receipt.model_validate_json((directory / RECEIPT_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def write_receipt(directory: Path, receipt: Receipt) -> None:
    """Replace the receipt in one step. Raises: OSError."""
    write_text(directory / RECEIPT_NAME, receipt.model_dump_json(indent=2) + "\n")


def checked(path: Path, sha256: str) -> Checked:
    """The receipt's line for a file whose digest was just computed. Raises: OSError."""
    status = path.stat()
    return Checked(name=path.name, sha256=sha256, bytes=status.st_size, mtime_ns=status.st_mtime_ns)
