"""`--offline`: this process opens no connection but the model's, whatever a library in it tries.

Python raises an audit event before each connect, datagram and lookup of a name (PEP 578), and a hook, once added,
cannot be taken away: no code of this process gets around it but native code that opens sockets itself, of which qcode
has none. What qcode starts gets no network by its sandbox, or is told by its environment. Only the user's own word
widens it, and then to this machine (`admit`).
"""

import ipaddress
import os
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

from qcode.errors import ConfigError

_TOLD = {
    "QCODE_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PIP_NO_INDEX": "1",
}
"""For the programs that qcode starts on this machine, such as a server of the model."""

_PORTS = {"http": 80, "https": 443}


class OfflineError(ConfigError):
    """For the user: something needs the network, and qcode is offline."""


class _Reached:
    """What may be connected to: servers by name and port, and with `loopback` all of this machine."""

    def __init__(self, *, loopback: bool) -> None:
        self.loopback = loopback
        self._servers: set[tuple[str, int]] = set()

    def add(self, base_url: str) -> None:
        """This server too, by its name and its addresses. Raises: ConfigError."""
        host, port = _host(base_url)
        # The name first: it is looked up.
        self._servers.add((host, port))
        self._servers |= {(address, port) for address in _addresses(host, port)}

    def has(self, base_url: str) -> bool:
        """Whether this server is reached already. Raises: ConfigError."""
        return _host(base_url) in self._servers

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook. Raises: OfflineError."""
        match event, arguments:
            case (("socket.connect" | "socket.sendto" | "socket.sendmsg"), (_, address)):
                if not self._allows(address):
                    raise OfflineError(f"offline: {_shown(address)} is not the model's server and is not connected to")
            case (("socket.getaddrinfo" | "socket.gethostbyname"), (name, *_)):
                words = name.decode("ascii", "replace") if isinstance(name, bytes) else name
                if words is not None and not _is_address(words) and not any(words == host for host, _ in self._servers):
                    raise OfflineError(f"offline: the name {words} is not looked up")

    def _allows(self, address: Any) -> bool:
        # Sockets of this machine's file system, of netlink, and of datagrams that were connected before.
        if not isinstance(address, tuple) or len(address) < 2 or not isinstance(address[0], str):
            return True
        return (self.loopback and _is_loopback(address[0])) or address[:2] in self._servers


_reached: _Reached | None = None


def go_offline(base_url: str | None, *, own_server: bool = False) -> None:
    """From now on only the server at `base_url` is reached, by its address or its name; with `own_server` also what
    listens on this machine, for a server that qcode starts. It cannot be taken back. Raises: ConfigError."""
    global _reached
    os.environ.update(_TOLD)
    reached = _reached = _Reached(loopback=own_server)
    if base_url is not None:
        reached.add(base_url)

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket."):
            reached.check(event, arguments)

    sys.addaudithook(check)


def admit(base_url: str | None, *, own_server: bool = False) -> None:
    """The user has another server answer: where qcode is offline it must be one of this machine, or the one that it
    began with. `own_server` is one that qcode starts. Raises: OfflineError, ConfigError for what is no URL."""
    if _reached is None:
        return
    _reached.loopback = _reached.loopback or own_server
    if base_url is None or _reached.has(base_url):
        return
    host, _ = _host(base_url)
    if not _is_loopback(host):
        raise OfflineError(f"offline: {host} is not this machine; to have it answer, begin with --base-url {base_url}")
    _reached.add(base_url)


def _host(base_url: str) -> tuple[str, int]:
    """Raises: ConfigError."""
    try:
        parts = urlsplit(base_url)
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
    except ValueError:
        raise ConfigError(f"{base_url} is no URL of a server") from None


def _addresses(host: str, port: int) -> set[str]:
    """What the name stands for, asked once; nothing where it cannot be told, and then it is not reached either."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text in {"", "localhost"}
    return True


def _is_loopback(text: str) -> bool:
    try:
        return text == "localhost" or ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _shown(address: Any) -> str:
    return f"{address[0]}:{address[1]}"
