"""The real `qcode` in a real terminal: tmux holds it, types, looks and goes away."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from calls import call
from waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.skipif(
    subprocess.run(["sh", "-c", "command -v tmux"], capture_output=True, check=False).returncode != 0, reason="no tmux"
)

SECONDS = PATIENCE_S


class Terminal:
    """One tmux session of a server of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]
        self.folder = folder

    def start(self, command: str, columns: int = 90, rows: int = 26) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TMUX")}
        environment |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        size = ["-x", str(columns), "-y", str(rows)]
        subprocess.run([*self._tmux, "new-session", "-d", *size, command], env=environment, check=True)

    def type(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def do(self, *command: str) -> None:
        subprocess.run([*self._tmux, *command], check=False, capture_output=True)

    @property
    def screen(self) -> str:
        done = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False)
        return done.stdout

    def until(self, *words: str) -> str:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if all(word in (seen := self.screen) for word in words):
                return seen
            time.sleep(0.1)
        pytest.fail(f"not seen: {words} in\n{self.screen}")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.do("kill-server")


@pytest.fixture
def qcode(repository: Path, tmp_path: Path) -> Callable[..., str]:
    def command(*answers: dict[str, object], options: str = "--mode yolo") -> str:
        script = tmp_path / "script.jsonl"
        script.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
        program = f"{sys.executable} -P -m qcode --model scripted:{script} --sandbox none --repo {repository} {options}"
        return f"{program}; echo left with $?; sleep 60"

    return command


def sessions() -> list[Path]:
    return sorted((Path(os.environ["XDG_STATE_HOME"]) / "qcode" / "sessions").glob("*.jsonl"))


def events_of(log: Path) -> list[str]:
    return [json.loads(line).get("event", "") for line in log.read_text(encoding="utf-8").splitlines()]


def descendants(pid: int) -> set[int]:
    found, todo = set(), [pid]
    while todo:
        children = Path(f"/proc/{todo[-1]}/task/{todo.pop()}/children")
        new = {int(child) for child in children.read_text(encoding="utf-8").split()} if children.exists() else set()
        found |= new
        todo += new
    return found


def test_a_turn_a_resize_and_two_ctrl_c(terminal: Terminal, qcode: Callable[..., str]) -> None:
    terminal.start(qcode({"text": call("bash", command="seq 3")}, {"text": "All **done** here."}))
    terminal.until("Say what to do", "yolo")
    terminal.type("count, please", "Enter")
    seen = terminal.until("● bash  seq 3", "All done here.", "✓ finished")
    assert "count, please" in seen and "**" not in seen
    terminal.do("resize-window", "-x", "40", "-y", "10")
    narrow = terminal.until("All done here.", "yolo")
    assert max(len(line) for line in narrow.splitlines()) <= 40
    terminal.do("resize-window", "-x", "100", "-y", "30")
    terminal.until("count, please", "● bash  seq 3", "✓ finished")
    terminal.type("C-c")
    terminal.until("Ctrl-C again leaves")
    terminal.type("C-c", "C-c")  # the first of them may come too late to be the second
    terminal.until(f"qcode --resume {sessions()[0].stem} goes on", "left with 0")
    assert events_of(sessions()[0])[-1] == "turn_finished"


def test_the_users_editor_changes_the_input_and_gives_the_screen_back(
    terminal: Terminal, qcode: Callable[..., str], tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    seen = tmp_path / "seen"
    wait = f"until [ -e {seen} ]; do sleep 0.05; done"
    editor.write_text(f'#!/bin/sh\necho the editor is here; {wait}; printf "and more\\n" >> "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    terminal.start(f"export EDITOR={editor}; {qcode({'text': 'Read both lines.'})}")
    terminal.until("Say what to do", "yolo")
    terminal.type("begin ", "C-g")
    terminal.until("the editor is here")
    seen.touch()
    terminal.until("begin and more", "yolo")
    terminal.type("Enter")
    terminal.until("Read both lines.", "✓ finished")
    terminal.type("C-d")
    terminal.until("left with 0")


def test_a_terminal_that_is_closed_leaves_no_process_and_a_whole_log(
    terminal: Terminal, qcode: Callable[..., str]
) -> None:
    script = qcode({"text": call("bash", command="echo begun; sleep 300")}, {"text": "never"})
    terminal.start("exec " + script.partition(";")[0])
    terminal.until("yolo")
    terminal.type("go", "Enter")
    terminal.until("begun")
    listed = subprocess.run(
        [*terminal._tmux, "list-panes", "-F", "#{pane_pid}"], capture_output=True, text=True, check=True
    )
    pid = int(listed.stdout.strip())
    started = {pid, *descendants(pid)}
    terminal.do("kill-server")
    wait_until(lambda: not any(Path(f"/proc/{each}").exists() for each in started), f"still there: {started}")
    assert events_of(sessions()[0])[-1] == "turn_finished"


def test_what_was_typed_ahead_outlives_a_kill(terminal: Terminal, qcode: Callable[..., str]) -> None:
    program = qcode({"text": call("bash", command="echo begun; sleep 300")}, {"text": "never"}).partition(";")[0]
    terminal.start(f"{program}; sleep 300")
    terminal.until("yolo")
    terminal.type("go", "Enter")
    terminal.until("begun")
    terminal.type("then this", "Enter")
    terminal.type("and that", "Enter")
    terminal.until("queued  then this", "queued  and that")
    shell = subprocess.run(
        [*terminal._tmux, "list-panes", "-F", "#{pane_pid}"], capture_output=True, text=True, check=True
    )
    parent = shell.stdout.strip()
    (pid,) = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split()
    os.kill(int(pid), signal.SIGKILL)
    terminal.do("kill-server")
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), f"still there: {pid}")
    terminal.start(f"{program} --continue; sleep 300")
    terminal.until("what waited when the session ended is in the input again", "then this", "and that", "yolo")
    terminal.type("Enter")
    terminal.until("then this", "and that", "running bash")
    assert "queued" in events_of(sessions()[0])


def test_the_in_process_model_answers_in_a_terminal(terminal: Terminal, small_model: Path, repository: Path) -> None:
    program = f"{sys.executable} -P -m qcode --model {small_model} --sandbox none --repo {repository}"
    terminal.start(f"{program} --tools minimal --context 4096 --temperature 0; echo left with $?; sleep 60")
    terminal.until("ask", "4.1k")
    terminal.type("Say hello in one word, and call nothing.", "Enter")
    terminal.until("reading", "tok/s")
    seen = terminal.until("ello", "✓ finished", "of the prompts cached")
    assert "0/4.1k" not in seen
    terminal.type("/context", "Enter")
    terminal.until("of 4,096 tokens", "system prompt")
    terminal.type("C-d")
    terminal.until("left with 0")


def test_input_that_ends_leaves_too(qcode: Callable[..., str], tmp_path: Path) -> None:
    master, process = in_pty(qcode({"text": "x"}))
    read_until(master, b"yolo")
    os.close(master)
    assert process.wait(SECONDS) is not None


def test_a_termination_leaves_in_order(qcode: Callable[..., str]) -> None:
    master, process = in_pty(qcode({"text": "word " * 400, "pace_s": 0.1, "chunk": 5}))
    read_until(master, b"yolo")
    os.write(master, b"go\r")
    read_until(master, b"word word")
    process.send_signal(signal.SIGTERM)
    read_until(master, b"\x1b[?1049l")
    assert process.wait(SECONDS) is not None
    assert events_of(sessions()[0])[-1] == "turn_finished"


def test_a_paste_of_100_megabytes_is_refused_and_typing_goes_on(qcode: Callable[..., str]) -> None:
    master, process = in_pty(qcode({"text": "fine"}))
    read_until(master, b"yolo")
    os.set_blocking(master, False)
    megabyte = b"x" * 1_000_000
    pending = [b"\x1b[200~", *[megabyte] * 100, b"\x1b[201~", b"after it\r"]
    seen = b""
    deadline = time.monotonic() + 2 * SECONDS
    while b"fine" not in seen:
        assert time.monotonic() < deadline, seen[-2000:]
        readable, writable, _ = select.select([master], [master] if pending else [], [], 1)
        if readable:
            seen += os.read(master, 65_536)
        if writable:
            try:
                written = os.write(master, pending[0])
            except BlockingIOError:
                continue
            pending[0] = pending[0][written:]
            if not pending[0]:
                pending.pop(0)
    assert b"too large" in seen
    assert seen.count(b"xxxxxxxxxx") == 0
    process.terminate()
    read_until(master, b"\x1b[?1049l")
    assert process.wait(SECONDS) is not None
    os.close(master)


def in_pty(command: str) -> tuple[int, "subprocess.Popen[bytes]"]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    argv = command.partition(";")[0].split()
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
    os.close(slave)
    return master, process


def read_until(master: int, words: bytes) -> bytes:
    seen, deadline = b"", time.monotonic() + SECONDS
    while words not in seen:
        assert time.monotonic() < deadline, seen[-2000:]
        if select.select([master], [], [], 1)[0]:
            try:
                seen += os.read(master, 65_536)
            except OSError:
                break
    return seen
