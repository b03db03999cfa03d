"""Reads the header of a GGUF file: enough to say what it is and whether its end is missing.

A GGUF file is untrusted: every length is checked against the file's size before it is used.
Source: the GGUF specification, version 3 (ggml's docs/gguf.md), and the block sizes of ggml-common.h.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from qcode.errors import ModelFileError

_MAGIC = b"GGUF"
_SCALARS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32

# Tensor type: (elements a block, bytes a block).
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    29: (256, 56),
    30: (1, 2),
    39: (32, 17),
}

Value = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says; `bytes_needed` is where the last tensor ends, so a shorter file is cut off.

    `values` are the scalar entries and strings by key; arrays are left out.
    """

    version: int
    tensors: int
    values: dict[str, Value]
    bytes_needed: int

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    @property
    def context_length(self) -> int | None:
        length = self.values.get(f"{self.architecture}.context_length")
        return length if isinstance(length, int) else None


def read_header(path: Path) -> GgufHeader:
    """Read and check the header. Raises: ModelFileError when it is no GGUF file or its end is missing."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if file.read(4) != _MAGIC:
                raise ModelFileError(f"{path} is not a GGUF file: give a llama.cpp model file (.gguf)")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _Reader(data, size).header()
    except (struct.error, ValueError, UnicodeDecodeError, OverflowError) as error:
        raise ModelFileError(f"{path} is cut off or damaged within its header: download it again") from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    if header.bytes_needed > size:
        raise ModelFileError(
            f"{path} is cut off: it has {size} bytes, its header asks for {header.bytes_needed}; download it again"
        )
    return header


class _Reader:
    """A cursor over the mapped file; struct.error or ValueError where the file does not hold what it promises."""

    def __init__(self, data: mmap.mmap, size: int) -> None:
        self._data = data
        self._size = size
        self._at = len(_MAGIC)

    def header(self) -> GgufHeader:
        version = self._scalar("<I")
        if version not in (2, 3):
            raise ValueError("unknown version")
        tensors, entries = self._scalar("<Q"), self._scalar("<Q")
        values: dict[str, Value] = {}
        for _ in range(self._count(entries)):
            key = self._string()
            value = self._value(self._scalar("<I"))
            if value is not None:
                values[key] = value
        ends = [self._tensor_end() for _ in range(self._count(tensors))]
        alignment = values.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError("bad alignment")
        start = -(-self._at // alignment) * alignment
        return GgufHeader(version, tensors, values, start + max(ends, default=0))

    def _count(self, count: int) -> int:
        if count > self._size:
            raise ValueError("more entries than bytes")
        return count

    def _scalar(self, form: str) -> int:
        value: int = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def _skip(self, length: int) -> None:
        self._at += length
        if self._at > self._size:
            raise ValueError("ends too early")

    def _string(self) -> str:
        length = self._scalar("<Q")
        start = self._at
        self._skip(length)
        return self._data[start : self._at].decode("utf-8")

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._skip_array()
            return None
        return self._scalar(_scalar_form(kind))

    def _skip_array(self) -> None:
        kind, length = self._scalar("<I"), self._count(self._scalar("<Q"))
        if kind != _STRING:
            self._skip(length * struct.calcsize(_scalar_form(kind)))
            return
        read_length, data, at, size = struct.Struct("<Q").unpack_from, self._data, self._at, self._size
        for _ in range(length):
            at += 8 + read_length(data, at)[0]
            if at > size:
                raise ValueError("ends too early")
        self._at = at

    def _tensor_end(self) -> int:
        """Where the tensor ends, counted from the start of the tensor data; its start where the type is unknown."""
        self._string()
        dimensions = self._scalar("<I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError("too many dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self._scalar("<Q")
        kind, offset = self._scalar("<I"), self._scalar("<Q")
        block = _BLOCKS.get(kind)
        return offset if block is None else offset + elements // block[0] * block[1]


def _scalar_form(kind: int) -> str:
    form = _SCALARS.get(kind)
    if form is None:
        raise ValueError("unknown value type")
    return form
