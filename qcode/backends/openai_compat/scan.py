"""Looks for servers that already run on this machine, on the ports where they usually are.

Only the loopback interface is asked, with one GET for the list of models; what answers something else is passed over.
"""

import http.client
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from qcode.backends.openai_compat.discovery import models_of
from qcode.backends.openai_compat.servers import PORTS, Server, server_of

ANSWER_S = 3.0
"""Seconds that a server on this machine has for the list of its models; a closed port answers at once."""

_LIMIT = 1_000_000
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers, and the names of its models."""

    url: str
    server: Server
    models: tuple[str, ...]


def running(ports: Iterable[int] = tuple(PORTS.values())) -> list[Running]:
    """The servers that answer now, in the order of the ports; blocks for ANSWER_S at most."""
    wanted = list(ports)
    if not wanted:
        return []
    with ThreadPoolExecutor(len(wanted)) as pool:
        return [found for found in pool.map(_look, wanted) if found is not None]


def _look(port: int) -> Running | None:
    with closing(http.client.HTTPConnection(_HOST, port, timeout=ANSWER_S)) as connection:
        try:
            connection.request("GET", "/v1/models", headers={"Accept": "application/json", "Connection": "close"})
            with connection.getresponse() as response:
                entries = models_of(json.loads(response.read(_LIMIT))) if response.status == 200 else []
        except (OSError, http.client.HTTPException, ValueError, RecursionError):
            return None
    server = server_of(entries[0].get("owned_by")) if entries else Server.OTHER
    # Any development server may answer on port 8000 or 8080: only a list of models is a list of models.
    if not entries or (server is Server.OTHER and entries[0].get("object") != "model"):
        return None
    return Running(f"http://{_HOST}:{port}/v1", server, tuple(str(entry["id"]) for entry in entries))
