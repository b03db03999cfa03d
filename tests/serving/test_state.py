"""Locks and leases end with the process that holds them."""

import os
import subprocess
import sys
from pathlib import Path

from qcode.serving.state import ServerFolder, folder_of, known_servers, running

HOLD = """
import sys
from pathlib import Path
from qcode.serving.state import ServerFolder
folder = ServerFolder(Path(sys.argv[1]))
lock = folder.take_lock()
leases = [folder.lease() for _ in range(3)]
print(lock is not None, flush=True)
sys.stdin.read()
"""


def holder(folder: ServerFolder) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLD, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() in {"True\n", "False\n"}
    return process


def test_a_killed_session_leaves_no_lease_and_a_killed_supervisor_no_lock(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path / "server")
    folder.make()
    assert (folder.supervised(), folder.users()) == (False, 0)
    with holder(folder) as process:
        assert (folder.supervised(), folder.users()) == (True, 3)
        assert folder.take_lock() is None
        process.kill()
        process.communicate()
    assert (folder.supervised(), folder.users()) == (False, 0)
    assert list((folder.path / "leases").iterdir()) == []
    lock = folder.take_lock()
    assert lock is not None
    assert folder.supervised()
    os.close(lock)


def test_a_lease_that_is_being_made_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    folder.make()
    leases = []
    for count in range(1, 30):
        leases.append(folder.lease())
        assert folder.users() == count
    for lease in leases:
        os.close(lease)
    assert folder.users() == 0


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    folder = folder_of("some-server")
    folder.make()
    assert list(known_servers()) == []
    for text in (b"", b"{}", b"\xff", b'{"id": "of another version"}'):
        (folder.path / "record.json").write_bytes(text)
        (folder.path / "plan.json").write_bytes(text)
        assert (folder.read(), folder.plan()) == (None, None)
    lock = folder.take_lock()
    assert lock is not None
    assert [each.id for each in known_servers()] == ["some-server"]
    assert list(running()) == []
    os.close(lock)


def test_the_folder_is_for_its_user_only() -> None:
    folder = folder_of("private")
    folder.make()
    assert folder.path.stat().st_mode & 0o077 == 0
