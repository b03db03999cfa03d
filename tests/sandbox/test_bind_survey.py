"""Folders of the host in which no sandbox may work."""

import os
import socket
from pathlib import Path

import pytest

from qcode_sandbox import SandboxUnavailable
from qcode_sandbox.bind import survey


def test_a_folder_with_a_socket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "deep/s"))
        with pytest.raises(SandboxUnavailable, match="is a socket"):
            survey(tmp_path)


@pytest.mark.parametrize("name", [".git", "sub/.git", ".qcode"])
def test_a_protected_path_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / name).symlink_to("/tmp")
    with pytest.raises(SandboxUnavailable, match="is a symlink"):
        survey(tmp_path)


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        with pytest.raises(SandboxUnavailable) as caught:
            survey(tmp_path / name)
        assert name in str(caught.value)
