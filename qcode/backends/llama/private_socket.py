"""A Unix socket that only this process can reach: llama.cpp must listen somewhere, and it shall not be a port.

On Linux the socket's file is removed as soon as the engine listens, and reached from then on through the descriptor of
the removed file: nothing is left behind however the process ends.
"""

import http.client
import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from qcode.backends.llama.liveness import is_alive

_PREFIX = "qcode-llama-"
_LONGEST_FOLDER = 60
"""A socket's path may have 107 bytes (sun_path in unix(7)); TMPDIR can be longer than that alone."""


class PrivateSocket:
    """A path to listen on, in a folder of its own, and requests to whoever listens there."""

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        if len(os.fsencode(parent)) > _LONGEST_FOLDER:
            parent = Path("/tmp")
        _sweep(parent)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        self._address = str(self._folder / "engine.sock")

    @property
    def path(self) -> str:
        """Where to listen; ends in .sock, by which llama.cpp knows a Unix socket."""
        return self._address

    def hide(self) -> None:
        """The engine listens: let nobody else find it."""
        if sys.platform == "linux":
            descriptor = os.open(self._address, os.O_PATH | os.O_CLOEXEC)
            self.remove()
            self._address = f"/proc/self/fd/{descriptor}"

    def remove(self) -> None:
        """Leave nothing on disk."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The engine's JSON answer, also where it is an error. Raises: OSError, http.client.HTTPException,
        ValueError."""
        connection = _UnixConnection(self._address)
        try:
            connection.request(method, path, json.dumps(body or {}), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise ValueError("the engine answered with something other than an object")
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("localhost")
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._address)


def _sweep(parent: Path) -> None:
    """Remove the folders of engines that were killed before they could hide."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
