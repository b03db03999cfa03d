"""The servers of the Model Context Protocol that a session has: where they are named, when they are connected."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcode.config.paths import state_dir
from qcode.config.settings import Settings
from qcode.config.trust import Folder
from qcode.errors import ConfigError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.toolset import Toolset

if TYPE_CHECKING:
    from qcode_tools.mcp.servers import Prompt, Servers
    from qcode_tools.mcp.settings import Configured

PROJECT_FILE = ".mcp.json"

Notify = Callable[[str], None]


def configured_servers(
    settings: Settings, folder: Folder | None, notify: Notify, *, editor: Mapping[str, Any] | None = None
) -> "tuple[Configured, ...]":
    """Those of the user's configuration, and those with other names of the .mcp.json of a trusted folder and of an
    editor, by name as in that file; in the order of their names. Of what is wrong in these the user is told.

    Raises: ConfigError.
    """
    text = None if folder is None else folder.read(PROJECT_FILE)
    if not settings.mcp and text is None and not editor:
        return ()
    from qcode_tools.mcp.errors import SettingsError
    from qcode_tools.mcp.settings import from_entries, from_mcp_json, from_tables

    try:
        found = {each.name: each for each in from_tables(settings.mcp)}
    except SettingsError as error:
        raise ConfigError(str(error)) from None
    if text is not None:
        try:
            named, problems = from_mcp_json(text, allowed=settings.mcp_env)
        except SettingsError as error:
            named, problems = [], [str(error)]
        for line in problems:
            notify(line)
        found = {each.name: each for each in named} | found
    if editor:
        named, problems = from_entries(editor, "the editor")
        for line in problems:
            notify(line)
        found = {each.name: each for each in named} | found
    if settings.offline:
        for each in found.values():
            if each.settings.url is not None and each.settings.enabled:
                notify(f"MCP server {each.name} is left out: qcode is offline")
        found = {name: each for name, each in found.items() if each.settings.url is None}
    return tuple(found[name] for name in sorted(found))


def named_servers(servers: "Sequence[Configured]", names: Sequence[str]) -> "tuple[Configured, ...]":
    """Those that the user asked for. Raises: ConfigError for a name that there is not."""
    known = {each.name: each for each in servers}
    for name in names:
        if name not in known:
            there = ", ".join(known) or "none"
            raise ConfigError(f"there is no MCP server {name!r} (there are: {there}); see `qcode mcp list`")
    return tuple(known[name] for name in sorted(set(names)))


class SessionServers:
    """Connects once, before the first request that needs it, and puts what it gets behind the tools of the session."""

    def __init__(
        self,
        configured: "Sequence[Configured]",
        *,
        toolset: Toolset,
        sandbox: Callable[[], Awaitable[Sandbox]],
        window: Callable[[], int | None],
        repository: Path,
        tell: Notify,
    ) -> None:
        """`window` is the model's in tokens, as far as it is known when the servers have answered. `tell` gets lines
        for the user, none before `ready` is called."""
        self._configured = configured
        self._toolset = toolset
        self._sandbox = sandbox
        self._window = window
        self._repository = repository
        self._tell = tell
        self._untold: list[str] | None = []
        self._servers: Servers | None = None
        self._starting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Connect in the background, if there is anything to connect to."""
        if self._configured and self._starting is None:
            self._starting = asyncio.create_task(self._start())

    async def ready(self) -> None:
        """Wait until all servers have answered or are given up. An interrupt ends the waiting, not the connecting."""
        self.begin()
        if self._untold is not None:
            lines, self._untold = self._untold, None
            for line in lines:
                self._tell(line)
        if self._starting is not None:
            await asyncio.shield(self._starting)

    async def equip(self, toolset: Toolset, window: int | None) -> None:
        """Put what the servers have behind the tools of another set too, for a model with this window in tokens."""
        if self._starting is not None:
            await asyncio.shield(self._starting)
        if self._servers is not None:
            toolset.add(await self._servers.tools(window))

    async def close(self) -> None:
        """End all connections."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._servers is not None:
            await self._servers.close()

    @property
    def states(self) -> list[tuple[str, str]]:
        """Each server by name, and how it stands with it."""
        if self._servers is None:
            return [(each.name, "not connected yet") for each in self._configured if each.settings.enabled]
        return [(remote.name, remote.state) for remote in self._servers.remotes]

    @property
    def prompts(self) -> "tuple[Prompt, ...]":
        """What the servers offer to begin with, for commands of the user's."""
        return () if self._servers is None else self._servers.prompts

    async def prompt(self, name: str, arguments: str) -> str:
        """The words of a prompt; `arguments` are `name=value`, or words for its only argument. Raises: ConfigError."""
        from qcode_tools.mcp.errors import ServerError

        prompt = next((each for each in self.prompts if each.name == name), None)
        if prompt is None or self._servers is None:
            raise ConfigError(f"no MCP server offers {name!r}")
        try:
            return await self._servers.prompt(prompt, _arguments(prompt, arguments))
        except ServerError as error:
            raise ConfigError(f"MCP server {prompt.server}: {error}") from None

    def _said(self, line: str) -> None:
        if self._untold is not None:
            self._untold.append(line)
        else:
            self._tell(line)

    async def _start(self) -> None:
        # The library takes long to import, and the sandbox starts meanwhile.
        await asyncio.to_thread(importlib.import_module, "qcode_tools.mcp.servers")
        from qcode_tools.mcp.servers import Surroundings, gather

        around = Surroundings(
            state=state_dir() / "mcp", repository=self._repository, sandbox=self._sandbox, tell=self._said
        )
        self._servers = gather(self._configured, around)
        self._toolset.add(await self._servers.tools(self._window()))


def _arguments(prompt: "Prompt", text: str) -> dict[str, str]:
    import shlex

    names = [name for name, _ in prompt.arguments]
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    pairs = dict(word.split("=", 1) for word in words if "=" in word and word.partition("=")[0] in names)
    if not pairs and text.strip() and len(names) == 1:
        pairs = {names[0]: text.strip()}
    if missing := [name for name, needed in prompt.arguments if needed and name not in pairs]:
        form = " ".join(f"{name}=…" for name, _ in prompt.arguments)
        raise ConfigError(f"{missing[0]} is missing: /{prompt.name} {form}")
    return pairs
