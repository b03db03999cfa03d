import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qcode.errors import ConfigError, ModelFileError
from qcode.models.card import Mode
from qcode.models.gguf import read_header
from qcode.models.progress import Unwatched
from qcode.models.pull import pull
from qcode.models.receipt import read_receipt
from qcode.models.registry import find
from qcode.models.store import folder, paths, remove, resolve, verify

Write = Callable[..., Path]
# The registry has no digest for this one's three files, so that small ones can stand in for them.
NAME = "qwen3-235b-a22b-instruct-2507"


@pytest.fixture
def origin(tmp_path: Path, tiny_gguf: Write) -> Path:
    """A folder with the three files of the model, tiny ones."""
    for number, file in enumerate(find(NAME).gguf.files):
        tiny_gguf(tmp_path / "origin" / file.name, fill=number)
    return tmp_path / "origin"


@pytest.fixture
def pulled(origin: Path) -> tuple[Path, ...]:
    pull(find(NAME), origin, Unwatched())
    # A copy of its own: the pull has linked the files.
    for path in paths(find(NAME)):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    return paths(find(NAME))


def flip_a_byte(path: Path, at: int = -5) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(bytes(data))


def test_a_pulled_model_is_found_by_name(origin: Path) -> None:
    model = pull(find(NAME), origin, Unwatched())
    assert resolve(NAME) == model
    assert model.path.read_bytes() == (origin / model.path.name).read_bytes()
    assert model.card is find(NAME)


def test_a_model_that_is_not_here_names_the_command() -> None:
    with pytest.raises(ModelFileError, match="run `qcode models pull qwen3-8b`"):
        resolve("qwen3-8b")
    with pytest.raises(ConfigError, match="did you mean qwen3-8b"):
        resolve("qwen3-8")


def test_a_flipped_byte_is_never_loaded(pulled: tuple[Path, ...]) -> None:
    resolve(NAME)
    flip_a_byte(pulled[1])
    for _ in range(2):
        with pytest.raises(ModelFileError, match=f"{pulled[1].name} is damaged.*qcode models pull {NAME}"):
            resolve(NAME)


def test_a_truncated_file_is_never_loaded(pulled: tuple[Path, ...]) -> None:
    pulled[0].write_bytes(pulled[0].read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="is damaged"):
        resolve(NAME)


def test_verify_finds_what_size_and_time_hide(pulled: tuple[Path, ...]) -> None:
    resolve(NAME)
    status = pulled[2].stat()
    flip_a_byte(pulled[2])
    os.utime(pulled[2], ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ModelFileError, match="is damaged"):
        verify(find(NAME))
    with pytest.raises(ModelFileError, match="is damaged"):
        resolve(NAME)
    flip_a_byte(pulled[2])
    assert resolve(NAME).path == pulled[0]


def test_a_touched_file_is_hashed_once_and_trusted_again(pulled: tuple[Path, ...]) -> None:
    os.utime(pulled[0], ns=(1, 1))
    assert resolve(NAME).path == pulled[0]
    receipt = read_receipt(folder(find(NAME)))
    assert receipt is not None
    assert receipt.files[0].mtime_ns == 1


def test_a_file_without_a_receipt_is_not_trusted(pulled: tuple[Path, ...]) -> None:
    (folder(find(NAME)) / "receipt.json").write_text("{")
    with pytest.raises(ModelFileError, match="was never checked"):
        resolve(NAME)


def test_pulling_again_replaces_only_what_is_damaged(pulled: tuple[Path, ...], origin: Path) -> None:
    flip_a_byte(pulled[1])
    untouched = pulled[0].stat().st_ino
    pull(find(NAME), origin, Unwatched())
    assert resolve(NAME).path.stat().st_ino == untouched
    assert pulled[1].read_bytes() == (origin / pulled[1].name).read_bytes()


def test_a_removed_model_is_gone(pulled: tuple[Path, ...]) -> None:
    assert remove(find(NAME)) >= sum(map(len, [b"GGUF"] * 3))
    with pytest.raises(ModelFileError, match="not on this machine"):
        resolve(NAME)
    with pytest.raises(ConfigError, match="not on this machine"):
        remove(find(NAME))


def test_a_local_file_of_another_model_is_refused(tmp_path: Path, tiny_gguf: Write) -> None:
    other = tiny_gguf(tmp_path / "other.gguf")
    with pytest.raises(ModelFileError, match=r"wrong SHA-256.*--model .*other\.gguf"):
        pull(find("qwen3-8b"), other, Unwatched())
    assert not paths(find("qwen3-8b"))[0].exists()


def test_the_models_folder_can_be_shared(tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCODE_MODELS_DIR", str(tmp_path / "shared"))
    model = pull(find(NAME), origin, Unwatched())
    assert model.path.is_relative_to(tmp_path / "shared")


def test_a_path_is_checked_by_its_header(tmp_path: Path, tiny_gguf: Write) -> None:
    path = tiny_gguf(tmp_path / "mine.gguf")
    assert resolve(str(path)).path == path.resolve()
    assert resolve(path).card is None
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="is cut off"):
        resolve(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelFileError, match="is not a GGUF file"):
        resolve(path)
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="is not a GGUF file"):
        resolve(path)
    with pytest.raises(ModelFileError, match="is a folder"):
        resolve(tmp_path)
    with pytest.raises(ModelFileError, match="there is no file"):
        resolve(tmp_path / "nothing.gguf")


def test_every_cut_of_a_file_is_noticed(tmp_path: Path, tiny_gguf: Write) -> None:
    whole = tiny_gguf(tmp_path / "whole.gguf", architecture="qwen3", name="toy").read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            read_header(cut)
    cut.write_bytes(whole)
    assert read_header(cut).architecture == "qwen3"


def test_a_header_that_lies_about_its_lengths_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.gguf"
    for lie in (b"\xff" * 8, (2**40).to_bytes(8, "little")):
        path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + lie + lie + b"\0" * 64)
        with pytest.raises(ModelFileError, match="damaged within its header"):
            read_header(path)


def test_a_split_model_must_be_complete(tmp_path: Path, tiny_gguf: Write) -> None:
    first = tiny_gguf(tmp_path / "big-00001-of-00002.gguf")
    with pytest.raises(ModelFileError, match=r"big-00002-of-00002\.gguf is not beside it"):
        resolve(first)
    second = tiny_gguf(tmp_path / "big-00002-of-00002.gguf")
    assert resolve(first).path == first.resolve()
    with pytest.raises(ModelFileError, match=r"name the first, big-00001-of-00002\.gguf"):
        resolve(second)


def test_a_file_fetched_by_hand_is_driven_as_its_model(tmp_path: Path, tiny_gguf: Write) -> None:
    by_name = tiny_gguf(tmp_path / "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf")
    by_header = tiny_gguf(
        tmp_path / "model.gguf", basename="Qwen2.5-Coder", size_label="1.5B", finetune="Instruct-GGUF"
    )
    base = tiny_gguf(tmp_path / "base.gguf", basename="Qwen2.5-Coder", size_label="1.5B")
    assert resolve(by_name).card is find("qwen3-coder-30b-a3b")
    assert resolve(by_header).card is find("qwen2.5-coder-1.5b")
    assert resolve(base).card is None
    assert find("qwen3-8b").sampling_for(Mode.THINKING).temperature == 0.6
