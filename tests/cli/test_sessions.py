import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from calls import Qcode, call, edit

from qcode.session.log import Session, sessions_dir

WORDS = "The sum in calc.py \x1b[2Jis wrong [red]"


@pytest.fixture
def run(qcode: Qcode, repo: Path, script) -> str:  # type: ignore[no-untyped-def]
    """A session of the repository; its id."""
    answers = [
        "I look. " + edit("calc.py", "a - b", "a + b"),
        call("bash", command="printf '\\033]0;x\\007'"),
        "Mended.",
    ]
    done = qcode(
        "run", "--task", "-", "--repo", repo, "--model", script(*answers), "--sandbox", "none", "--output", "json",
        stdin=WORDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["session"]).stem


def out(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    assert not any(ord(character) < 32 and character != "\n" for character in done.stdout.replace("\t", ""))
    return done.stdout


def test_sessions_are_listed_searched_shown_exported_forked_and_removed(qcode: Qcode, repo: Path, run: str) -> None:
    listed = out(qcode("sessions", "list", "--repo", repo))
    assert run in listed
    assert "finished" in listed
    assert "\\x1b[2Jis wrong [red]" in listed
    assert "no sessions here" in out(qcode("sessions", "list", "--repo", repo.parent / "other"))
    assert run in out(qcode("sessions", "list", "--all"))
    (entry,) = json.loads(out(qcode("sessions", "list", "--all", "--json")))
    assert (entry["id"], entry["turns"], entry["steps"], entry["outcome"]) == (run, 1, 3, "finished")

    hits = out(qcode("sessions", "search", "mended", "--repo", repo))
    assert "assistant: Mended." in hits
    assert qcode("sessions", "search", "nowhere", "--all").returncode == 1

    shown = out(qcode("sessions", "show", "--repo", repo))
    assert "3 str_replace_editor" in shown
    assert "6 qcode\n  Mended." in shown
    assert "3 answers of the model" in shown

    fork = json.loads(out(qcode("sessions", "fork", run[:15], "--at", 3, "--json")))
    assert fork["messages"] == 3
    assert json.loads(out(qcode("sessions", "show", fork["id"], "--json")))["forked_from"] == run

    assert "1 deleted" in out(qcode("sessions", "rm", run))
    assert [path.stem for path in sessions_dir().glob("*.jsonl")] == [fork["id"]]


def test_an_export_says_what_was_said(qcode: Qcode, repo: Path, run: str) -> None:
    document = out(qcode("sessions", "export", "--repo", repo))
    assert "## You\n\nThe sum in calc.py" in document
    assert "old_str: `a - b`" in document
    swift = json.loads(out(qcode("sessions", "export", run, "--format", "ms-swift")))
    assert [message["role"] for message in swift["messages"]] == [
        "system", "user", "assistant", "tool_call", "tool_response", "tool_call", "tool_response", "assistant",
    ]  # fmt: skip
    kept = repo.parent / "talk.json"
    out(qcode("sessions", "export", run, "--format", "json", "--out", kept))
    whole = json.loads(kept.read_text(encoding="utf-8"))
    assert whole["stats"]["tools"] == {"str_replace_editor": 1, "bash": 1}
    assert whole["messages"][0] == {"role": "user", "text": WORDS}


def test_a_conversation_forks_itself_and_goes_over_to_the_fork(qcode: Qcode, repo: Path, run: str, script) -> None:  # type: ignore[no-untyped-def]
    ours, theirs = pty.openpty()
    talk = subprocess.Popen(
        [
            sys.executable, "-P", "-m", "qcode", "--plain", "--resume", run, "--repo", repo, "--sandbox", "none",
            "--model", script("Here I am."),
        ],
        stdin=theirs, stdout=subprocess.PIPE, text=True, cwd=repo.parent,
    )  # fmt: skip
    os.close(theirs)
    assert talk.stdout is not None
    os.write(ours, b"/fork 3\n")
    fork = next(line for line in talk.stdout if "/resume" in line).rpartition("/resume ")[2].split()[0]
    os.write(ours, b"/resume\n")
    assert next(line for line in talk.stdout if "The sum in calc.py" in line)
    os.write(ours, f"/resume {fork}\n".encode())
    assert next(line for line in talk.stdout if "the last turn was cut off" in line)
    os.write(ours, b"where are you?\n")
    assert next(line for line in talk.stdout if "Here I am." in line)
    os.write(ours, b"/quit\n")
    talk.stdout.read()
    talk.stdout.close()
    os.close(ours)
    assert talk.wait() == 0
    shown = json.loads(out(qcode("sessions", "show", fork, "--json")))
    assert (shown["turns"], shown["forked_from"], shown["outcome"]) == (2, run, "finished")


@pytest.mark.parametrize(
    ("action", "name"), [("show", "../../etc/passwd"), ("export", "/etc/passwd"), ("fork", ".."), ("rm", "x\x1b[2J")]
)
def test_an_id_that_is_a_path_is_refused_in_one_line(qcode: Qcode, action: str, name: str) -> None:
    done = qcode("sessions", action, name)
    assert done.returncode == 1
    assert "not the id of a session" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_old_sessions_are_removed_together_and_those_in_use_stay(qcode: Qcode) -> None:
    old, new, used = (Session(session_id=name) for name in ("old", "new", "used"))
    for session in (old, used):
        os.utime(session.path, (0, 0))
    old.close()
    new.close()
    assert "'soon' is no whole number above 0" in qcode("sessions", "rm", "--older-than", "soon").stderr
    refused = qcode("sessions", "rm", "--all", "--older-than", 30)
    assert (refused.returncode, old.path.exists()) == (2, True)
    assert "2 sessions would be deleted" in refused.stderr
    done = qcode("sessions", "rm", "--all", "--older-than", 30, "--yes")
    assert "open in another qcode" in done.stderr
    used.close()
    assert qcode("sessions", "rm", "--all", "--older-than", 30, "--yes").returncode == 0
    assert sorted(path.name for path in sessions_dir().glob("*.jsonl")) == ["new.jsonl"]


def test_a_disk_that_is_full_during_a_run_is_one_line_and_the_patch_is_delivered(
    qcode: Qcode, repo: Path, script
) -> None:  # type: ignore[no-untyped-def]
    """The log may grow to a size at which the second answer does not fit any more."""
    name = script("I look. " + edit("calc.py", "a - b", "a + b"), "x" * 300_000)
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
        "from qcode.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [
            sys.executable, "-P", "-c", limited, "run", "--task", repo / "issue.md", "--repo", repo, "--model", name,
            "--sandbox", "none", "--output", "json",
        ],
        cwd=repo.parent, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "free some space, all before is kept" in done.stderr
    assert "+    return a + b" in answer["patch"]
    session = Session.open(Path(answer["session"]))
    session.close()
    assert session.notice == "", "nothing torn was left"
    assert [event.event for event in session.events][-2:] == ["tool_finished", "step_started"]
