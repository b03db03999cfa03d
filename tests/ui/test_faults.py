"""What goes wrong around a session: broken configuration, a session that is open already, a terminal that goes away
and comes back."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from calls import call, committed, scripted
from waiting import wait_until

SOON_S = 120.0


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return committed(tmp_path / "repo", {"a.txt": "a\n"})


@pytest.fixture
def script(tmp_path: Path) -> str:
    return scripted(tmp_path / "script.jsonl", {"text": "slowly, word by word", "pace_s": 0.5}, "Well.")


def qcode(repo: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "qcode", "--sandbox", "none", *arguments],
        cwd=repo, input=stdin, capture_output=True, text=True, timeout=SOON_S, check=False,
    )  # fmt: skip


def users_config(text: str) -> Path:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "qcode" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = \n", "at line 1"),
        ('mode = "auto-edti"\n', "auto-edit"),
        ("limts.max_turns = 3\n", "did you mean"),
        ("\x00\x1b[31m\n", "config.toml"),
    ],
)
@pytest.mark.parametrize("how", ["--plain", "--input=stream-json"])
def test_a_broken_configuration_is_said_in_one_line(repo: Path, script: str, text: str, words: str, how: str) -> None:
    file = users_config(text)
    done = qcode(repo, how, "--model", script, stdin="hello\n")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(file) in done.stderr
    assert words in done.stderr
    assert "\x1b" not in done.stderr
    assert "Well." not in done.stdout


def test_a_broken_configuration_of_the_repository_is_said_too(repo: Path, script: str) -> None:
    (repo / ".qcode").mkdir()
    (repo / ".qcode" / "config.toml").write_text("[limits]\nmax_turns = 'many'\n", encoding="utf-8")
    done = qcode(repo, "--plain", "--trust", "--model", script, stdin="hello\n")
    assert done.returncode == 2
    assert ".qcode/config.toml:2" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_session_is_not_opened_twice(repo: Path, script: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "qcode", "--input", "stream-json", "--sandbox", "none", "--model", script],
        cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as first:  # fmt: skip
        assert first.stdin is not None
        assert first.stdout is not None
        assert '"ready"' in first.stdout.readline()
        first.stdin.write('{"type": "user", "text": "hello"}\n')
        first.stdin.flush()
        assert "session_started" in first.stdout.readline()
        done = qcode(repo, "--plain", "--continue", "--model", script, stdin="me too\n")
        assert done.returncode == 1
        assert "is open in another qcode" in done.stderr
        assert done.stderr.count("\n") == 1
        first.stdin.close()
        assert '"bye"' in first.stdout.read()
        assert first.wait(SOON_S) == 0


@pytest.mark.skipif(
    subprocess.run(["sh", "-c", "command -v tmux"], capture_output=True, check=False).returncode != 0, reason="no tmux"
)
def test_a_terminal_that_is_detached_and_attached_again_shows_what_came_meanwhile(repo: Path, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    waits = call("bash", command=f"echo it waits; until [ -e {opened} ]; do sleep 0.05; done")
    script = scripted(tmp_path / "waiting.jsonl", waits, "This came meanwhile.", "Well.")
    options = f"--sandbox none --mode yolo --model {script} --repo {repo}"
    tmux = ["tmux", "-S", str(tmp_path / "tmux"), "-f", os.devnull]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TMUX")}
    environment |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    # What is left of it stays to be looked at, for as long as that takes.
    command = f"{sys.executable} -P -m qcode {options}; echo left with $?; read -r"

    def ask(*words: str) -> str:
        return subprocess.run([*tmux, *words], capture_output=True, text=True, check=False).stdout

    def look(*words: str) -> None:
        seen = ""

        def shown() -> bool:
            nonlocal seen
            seen = ask("capture-pane", "-p")
            return all(word in seen for word in words)

        try:
            wait_until(shown)
        except AssertionError:
            pytest.fail(f"not seen: {words} in\n{seen}")

    ask_for_it = ["new-session", "-d", "-x", "90", "-y", "24", command]
    subprocess.run([*tmux, *ask_for_it], env=environment, check=True)
    try:
        look("Say what to do", "yolo")
        with Attached(tmux, environment) as client:
            client.until("Say what to do")
            ask("send-keys", "hello", "Enter")
            client.until("it waits")
        # The terminal has gone away, as when a connection breaks; the session has not.
        wait_until(lambda: not ask("list-clients"))
        opened.touch()
        look("This came meanwhile.", "finished")
        with Attached(tmux, environment) as client:
            client.until("This came meanwhile.")
            ask("send-keys", "again", "Enter")
            client.until("Well.")
            ask("send-keys", "C-d")
            client.until("left with 0")
    finally:
        ask("kill-server")


class Attached:
    """A client of tmux on a terminal of its own, all of whose output is read; killed when the context is left."""

    def __init__(self, tmux: list[str], environment: dict[str, str]) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
        self._process = subprocess.Popen([*tmux, "attach"], stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        self._came = b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def __enter__(self) -> "Attached":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reading.join()
        os.close(self._master)

    def until(self, words: str) -> None:
        """Wait until these words were painted on this terminal; what moves the cursor between them does not count."""
        wait_until(lambda: words in self._painted(), f"not painted: {words!r}")

    def _painted(self) -> str:
        text = re.sub(rb"\x1b(\[[0-?]*[ -/]*[@-~]|[()].|[=>])", b"", self._came).decode(errors="replace")
        return text.replace("\r", "").replace("\n", "")

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._master, 65_536):
                self._came += data
