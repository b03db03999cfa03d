"""`--sandbox auto`: Docker, else bubblewrap, else an error; never the host."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qcode_sandbox import SandboxUnavailable
from qcode_sandbox.choice import choose


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an engine and with an empty PATH; returns the folder that is the PATH."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def test_neither_is_an_error_that_says_what_to_install(nothing: Path) -> None:
    with pytest.raises(SandboxUnavailable) as caught:
        choose()
    text = str(caught.value)
    assert "bubblewrap" in text
    assert "docker.io" in text
    assert "\n" not in text


def test_bubblewrap_where_no_engine_answers(nothing: Path) -> None:
    (nothing / "bwrap").touch(mode=0o755)
    assert choose() == "bubblewrap"


def test_a_socket_that_nobody_listens_at_is_no_engine(nothing: Path, tmp_path: Path) -> None:
    (nothing / "bwrap").touch(mode=0o755)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "docker.sock"))
    assert choose() == "bubblewrap"


def test_an_engine_that_answers_goes_first(nothing: Path, tmp_path: Path) -> None:
    (nothing / "bwrap").touch(mode=0o755)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "docker.sock"))
        engine.listen()
        assert choose() == "docker"


def test_a_run_without_any_ends_with_4_and_one_line(nothing: Path, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    subprocess.run(["/usr/bin/git", "init", "-q", str(repo)], check=True)
    (repo / "task.md").write_text("Say hi.\n", encoding="utf-8")
    script = tmp_path / "script.jsonl"
    script.write_text("", encoding="utf-8")
    run = [sys.executable, "-P", "-m", "qcode", "run", "--task", str(repo / "task.md"), "--repo", str(repo)]
    done = subprocess.run([*run, "--model", f"scripted:{script}"], capture_output=True, text=True)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "no sandbox is on this machine" in done.stderr
