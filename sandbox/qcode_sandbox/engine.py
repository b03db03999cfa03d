"""The seam between a sandbox and the kind of place that it is."""

from typing import Protocol

from qcode_sandbox.channel import Channel


class Engine(Protocol):
    """Makes channels into one place, and kills there."""

    name: str
    workdir: str
    scratch: str
    """A directory inside that every request may write, outside the work tree."""
    base: str
    """The private repository of the tree as opened."""
    first_tag: int
    """Requests are numbered from here: see environment.TAG_BITS."""

    async def connect(self, channel: Channel, kind: str) -> None:
        """Connect a channel with a new server.sh. Raises: SandboxError."""
        ...

    def kill(self, tag: int) -> None:
        """Kill every process of a request, soon."""
        ...

    def kill_all(self) -> None:
        """Kill all that runs inside, the channels' processes too if that is what it takes."""
        ...

    async def lost(self) -> str:
        """Why the place is gone, or "" when it is still there."""
        ...

    def check_path(self, path: str, *, writing: bool) -> None:
        """Raises: SandboxFileError where an absolute path may not be used."""
        ...

    def complaint(self) -> str:
        """What the place itself has to say about the request that just ended, once; "" mostly."""
        ...

    async def protect(self, made: str) -> None:
        """Copy the private repository from where it was made to `base`, where commands cannot write."""
        ...
