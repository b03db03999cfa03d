"""The store of evaluated prompt starts: what it gives back, what it throws away, and who may read it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qcode.backends.llama.prefix import KEEP_FILES, PrefixStore, model_identity


def _keep(store: PrefixStore, prefix: str, state: bytes) -> Path:
    store.draft().write_bytes(state)
    store.keep(prefix)
    found = store.find(prefix)
    store.used(prefix)
    assert found is not None
    return found


def test_gives_back_what_was_kept_for_this_text_and_engine_only(tmp_path: Path) -> None:
    store = PrefixStore(tmp_path / "states", "model a")
    path = _keep(store, "system one", b"state one")
    assert path.read_bytes() == b"state one"
    assert store.find("system two") is None
    assert PrefixStore(tmp_path / "states", "model b").find("system one") is None


def test_files_are_private_to_the_user(tmp_path: Path) -> None:
    store = PrefixStore(tmp_path / "states", "model")
    path = _keep(store, "system", b"state")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"\0" + data[1:], lambda data: b""])
def test_a_damaged_state_is_removed_and_never_given_back(tmp_path: Path, damage: object) -> None:
    store = PrefixStore(tmp_path / "states", "model")
    path = _keep(store, "system", b"state of a prompt")
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    assert store.find("system") is None
    assert not path.exists()


def test_a_state_that_killed_its_reader_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "states"
    path = _keep(PrefixStore(folder, "model"), "system", b"state")
    program = "import os, sys, pathlib; from qcode.backends.llama.prefix import PrefixStore; "
    program += "PrefixStore(pathlib.Path(sys.argv[1]), 'model').find('system'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-P", "-c", program, str(folder)], check=False)
    assert path.exists()
    assert PrefixStore(folder, "model").find("system") is None
    assert list(folder.iterdir()) == []


def test_another_reader_that_is_still_at_it_does_no_harm(tmp_path: Path) -> None:
    store = PrefixStore(tmp_path / "states", "model")
    _keep(store, "system", b"state")
    store.find("system")
    assert store.find("system") is not None


def test_keeps_only_the_newest_used(tmp_path: Path) -> None:
    store = PrefixStore(tmp_path / "states", "model")
    for number in range(KEEP_FILES):
        path = _keep(store, f"system {number}", b"state")
        os.utime(path, (number, number))
    first = store.find("system 0")
    assert first is not None
    store.used("system 0")
    _keep(store, "one more", b"state")
    assert store.find("system 0") is not None
    assert store.find("system 1") is None
    assert len(list(store.folder.glob("*.kv"))) == KEEP_FILES


def test_a_changed_model_file_is_another_model(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF" + bytes(3_000_000))
    before = model_identity(model)
    assert model_identity(model) == before
    model.write_bytes(b"GGUF" + bytes(2_999_999) + b"x")
    assert model_identity(model) != before
