"""qcode is killed at any of its system calls while it edits a file of the user's: the file is the old one or the new
one, whole, and the session goes on."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from calls import call, committed, edit, scripted
from forked_sessions import Session, Sessions, forked_sessions
from waiting import wait_until

from qcode.messages import Assistant, Tool
from qcode.session.fold import fold
from qcode.session.log import read_log

POINTS = int(os.environ.get("CRASH_POINTS", "1"))
"""Calls at which it is killed, of some two hundred; `make test-attacks-kills` takes all."""

ONE = 60
"""The call at which it is killed where that is done once: early enough for the file to be the old one."""

SLOWED_US = 500
"""So that it is not far behind the call when it is killed."""

OLD = "".join(f"line {number}\n" for number in range(20_000)) + "wrong\nend\n"
NEW = OLD.replace("wrong", "right")


def session(sessions: Sessions, repo: Path, sandbox: str, model: str, *more: str) -> Session:
    arguments = ["--plain", "--mode", "yolo", "--repo", str(repo), "--sandbox", sandbox, "--model", model]
    return sessions.start([*arguments, *more])


def calls(tracer: "subprocess.Popen[str]") -> Iterator[str]:
    """The system calls of the edit, each when it is over."""
    assert tracer.stdout is not None
    begun = False
    for line in tracer.stdout:
        begun = begun or "tool_started" in line
        if begun:
            yield line


def killed_while_it_edits(sessions: Sessions, repo: Path, sandbox: str, after: int | None) -> tuple[Path, int]:
    """Kill it after so many calls of an edit, or when the edit is done: the log, and how many calls there were."""
    ready = call("bash", command="true")
    model = scripted(repo.parent / "one.jsonl", ready, "Ready.", edit("notes.txt", "wrong", "right"), "Done.")
    known = logs()
    qcode = session(sessions, repo, sandbox, model)
    count = 0
    try:
        qcode.say("get ready")
        wait_until(lambda: turns(logs() - known) or not qcode.alive())
        assert qcode.alive(), qcode.end()
        (log,) = logs() - known
        command = ["strace", "-f", "-qq", "-s", "80", "-o", "/proc/self/fd/1", "-p", str(qcode.pid)]
        command += ["-e", f"inject=all:delay_enter={SLOWED_US}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tracer:
            wait_until(lambda: traced(qcode.pid) or tracer.poll() is not None)
            assert tracer.poll() is None, "strace may not look at another process"
            qcode.say("repair it")
            for line in calls(tracer):
                if count == after or "tool_finished" in line:
                    break
                count += 1
            os.kill(qcode.pid, signal.SIGKILL)
            assert tracer.stdout is not None
            tracer.stdout.read()
        return log, count
    finally:
        qcode.kill()


def traced(pid: int) -> bool:
    return "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


def logs() -> set[Path]:
    return set((Path(os.environ["XDG_STATE_HOME"]) / "qcode" / "sessions").glob("*.jsonl"))


def turns(of: set[Path]) -> int:
    return sum(log.read_text(encoding="utf-8").count('"event":"turn_finished"') for log in of)


def what_is_left(repo: Path, log: Path) -> tuple[object, ...]:
    """All that a session that goes on can see of the one that was killed, but for times and names made by chance: what
    lies in the folder, and the events of the log."""
    *whole, torn = log.read_text(encoding="utf-8").split("\n")
    inside = {path.name: path.read_bytes() for path in repo.iterdir() if path.is_file()}
    return (
        inside.pop("notes.txt"),
        tuple(inside.values()),
        tuple(json.loads(line)["event"] for line in whole),
        len(torn),
    )


def go_on(sessions: Sessions, repo: Path, sandbox: str, log: Path) -> None:
    """Resume the session, and edit the same file in it."""
    model = scripted(repo.parent / "two.jsonl", edit("notes.txt", "end", "END"), "Done.")
    qcode = session(sessions, repo, sandbox, model, "--resume", log.stem)
    qcode.say("go on")
    code, said = qcode.end()
    assert code == 0, said
    history = fold(tuple(read_log(log)))
    asked = [made.id for message in history if isinstance(message, Assistant) for made in message.tool_calls]
    assert asked == [message.result.call_id for message in history if isinstance(message, Tool)]
    assert len(asked) == 3


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows the system calls")
@pytest.mark.parametrize("sandbox", ["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_session_that_is_killed_in_an_edit_goes_on(tmp_path: Path, sandbox: str) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    committed(repo, {"notes.txt": OLD})
    target = repo / "notes.txt"
    found: list[str] = []
    resumed: set[tuple[object, ...]] = set()
    points, total = [ONE], 0
    with forked_sessions() as sessions:
        if POINTS > 1:
            _, total = killed_while_it_edits(sessions, repo, sandbox, None)
            assert target.read_text(encoding="utf-8") == NEW
            points = sorted({round(each * total / POINTS) for each in range(POINTS)})
        for point in points:
            target.write_text(OLD, encoding="utf-8")
            log, _ = killed_while_it_edits(sessions, repo, sandbox, point)
            found.append(target.read_text(encoding="utf-8"))
            assert found[-1] in (OLD, NEW), f"mixed at call {point} of {total}"
            left = what_is_left(repo, log)
            if left in resumed:
                continue
            resumed.add(left)
            go_on(sessions, repo, sandbox, log)
            assert target.read_text(encoding="utf-8").replace("END", "end") in (OLD, NEW)
            assert target.read_text(encoding="utf-8").endswith("\nEND\n")
    print(f"{sandbox}: killed at {len(points)} of {total} calls, {len(resumed)} different states were gone on from")
    assert found[0] == OLD, "the kills came too late to prove anything"
    assert POINTS < 10 or found[-1] == NEW, "the kills came too early to prove anything"
