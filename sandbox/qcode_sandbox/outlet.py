"""What a sandbox that may reach some hosts has of it: a folder with the proxy's socket, and a relay on its loopback.

The sandbox stays without a network. Programs that know proxies are told of one at 127.0.0.1; the relay, a process
inside, hands on what they say by the socket.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.folder import Folder
from qcode_sandbox.gate import Gate

INSIDE = "/qcode/network"
_PORT = 3128
_TRIES = 200

RELAY = ["python3", "-I", f"{INSIDE}/relay.py", str(_PORT), f"{INSIDE}/proxy.sock"]
"""argv of the process inside."""

_URL = f"http://127.0.0.1:{_PORT}"
ENVIRONMENT = {
    "http_proxy": _URL, "https_proxy": _URL, "HTTP_PROXY": _URL, "HTTPS_PROXY": _URL,
    "no_proxy": "localhost,127.0.0.1,::1", "NO_PROXY": "localhost,127.0.0.1,::1",
}  # fmt: skip


@asynccontextmanager
async def outlet(gate: Gate | None) -> AsyncIterator[Path | None]:
    """The folder to mount at INSIDE; None without a gate."""
    if gate is None:
        yield None
        return
    from qcode_sandbox.proxy import proxy

    folder = await asyncio.to_thread(Folder.make)
    try:
        place = folder.root / "network"
        await asyncio.to_thread(_fill, folder.root, place)
        async with proxy(place / "proxy.sock", gate):
            yield place
    finally:
        await to_the_end(asyncio.to_thread(folder.remove))


def _fill(root: Path, place: Path) -> None:
    root.chmod(0o711)
    place.mkdir(mode=0o755)
    shutil.copyfile(Path(__file__).with_name("relay.py"), place / "relay.py")
    (place / "relay.py").chmod(0o644)


def ready() -> str:
    """A bash program that waits for the relay."""
    return f"""
command -v python3 >/dev/null || {{ echo 'a list of allowed hosts needs python3 in the sandbox'; exit 1; }}
for ((try = 0; try < {_TRIES}; try++)); do
  (exec 3<>/dev/tcp/127.0.0.1/{_PORT}) 2>/dev/null && exit
  sleep 0.05
done
echo 'the relay to the network does not start'
exit 1
"""
