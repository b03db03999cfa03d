"""Sessions of qcode, forked from one process that has imported it already: importing is most of what a start takes.

`python -P forked_sessions.py` reads requests from the socket on its standard input: JSON, with the two ends that become
the session's input and output. Nothing of qcode's but its modules' top levels has run before the fork.
"""

import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PACKAGES = ("qcode.app", "qcode.agent", "qcode.policy", "qcode.session", "qcode.ui", "qcode_tools", "qcode_sandbox")
_OTHERS = ("qcode.cli.main", "qcode.cli.chat", "qcode.backends.scripted", "docker", "git")
_NOT = (".child", ".tui", ".mcp", "__main__", ".relay")
_REQUEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Session:
    """A forked qcode; `stdin` and `stdout` are its other ends."""

    pid: int
    stdin: IO[str]
    stdout: IO[str]
    server: socket.socket

    def say(self, words: str) -> None:
        self.stdin.write(f"{words}\n")
        self.stdin.flush()

    def alive(self) -> bool:
        """Whether it still runs; once it has ended, it waits to be asked for how."""
        return "State:\tZ" not in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")

    def kill(self) -> None:
        """End it at once, and wait until it has ended."""
        os.kill(self.pid, signal.SIGKILL)
        self.end()

    def end(self) -> tuple[int, str]:
        """Let it come to its end, as nothing more is said to it: its exit code, and what it has said."""
        self.stdin.close()
        said = self.stdout.read()
        self.stdout.close()
        self.server.send(json.dumps({"wait": self.pid}).encode())
        return int(self.server.recv(100)), said


class Sessions:
    """Where they are forked."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def start(self, arguments: Sequence[str]) -> Session:
        """A session with these arguments and the environment of now."""
        (its_in, our_in), (our_out, its_out) = os.pipe(), os.pipe()
        request = json.dumps({"argv": list(arguments), "env": dict(os.environ)}).encode()
        socket.send_fds(self._server, [request], [its_in, its_out])
        os.close(its_in)
        os.close(its_out)
        pid = int(self._server.recv(100))
        return Session(pid, os.fdopen(our_in, "w"), os.fdopen(our_out), self._server)


@contextmanager
def forked_sessions() -> Iterator[Sessions]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, subprocess.Popen([sys.executable, "-P", __file__], stdin=theirs, cwd="/") as server:
        theirs.close()
        try:
            yield Sessions(ours)
        finally:
            ours.close()
            server.wait()


def _import_all() -> None:
    for name in _PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not any(part in module.name for part in _NOT):
                importlib.import_module(module.name)
    for name in _OTHERS:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads cannot be forked"


def _serve(requests: socket.socket) -> None:
    while True:
        data, ends, _, _ = socket.recv_fds(requests, _REQUEST, 2)
        if not data:
            return
        request = json.loads(data)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            requests.send(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            requests.close()
            _become(request, *ends)
        for end in ends:
            os.close(end)
        requests.send(b"%d" % pid)


def _become(request: dict[str, dict[str, str]], stdin: int, stdout: int) -> None:
    code = 70
    try:
        for to, end in enumerate((stdin, stdout, stdout)):
            os.dup2(end, to)
        os.close(stdin)
        os.close(stdout)
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = ["qcode", *request["argv"]]
        from qcode.__main__ import main

        code = main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _import_all()
    _serve(socket.socket(fileno=os.dup(0)))
