"""What is configured about a server: a table of qcode's own configuration, or an entry of a repository's .mcp.json.

Source of the form of .mcp.json: the documentation of Claude Code, "MCP", section on project scope (`mcpServers`,
`${VAR}` and `${VAR:-default}`).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qcode_tools.clean import visible
from qcode_tools.mcp.errors import SettingsError

REPOSITORY = "QCODE_REPO"
"""`${QCODE_REPO}` is the folder of the repository, as the server sees it."""

MOST_SERVERS = 20
"""Of one .mcp.json."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)){0,30}(?<!_)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class OAuthSettings(BaseModel):
    """How to log in, where the server's own word does not suffice. Without `client_id` qcode registers itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    client_id: str | None = Field(None, min_length=1)
    client_secret: str | None = Field(None, min_length=1)
    scope: str | None = Field(None, min_length=1)


class ServerSettings(BaseModel):
    """One server: a `command` that speaks over its stdin and stdout, or the `url` of one that speaks HTTP.

    A command runs in the session's sandbox unless `sandbox` is false: then on this machine as the user, in a folder of
    its own or in `cwd`, with the variables of `env`, those of the user's that `env_from` names, and little else.
    `allow` and `deny` are patterns of the server's own tool names; deny goes first. `trust` believes what the server
    says of its tools: that they only read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: str | None = Field(None, min_length=1)
    args: list[str] = []
    env: dict[str, str] = {}
    env_from: list[str] = []
    cwd: str | None = Field(None, min_length=1)
    sandbox: bool = True
    url: str | None = Field(None, pattern="^https?://")
    headers: dict[str, str] = {}
    oauth: OAuthSettings = OAuthSettings()
    allow: list[str] = ["*"]
    deny: list[str] = []
    connect_timeout_s: float = Field(30.0, gt=0, le=600)
    call_timeout_s: float = Field(120.0, gt=0, le=86_400)
    enabled: bool = True
    trust: bool = False

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, given: Any) -> Any:
        """TOML's 30 is as good as 30.0."""
        if not isinstance(given, dict):
            return given
        times = ("connect_timeout_s", "call_timeout_s")
        return {k: float(v) if k in times and type(v) is int else v for k, v in given.items()}

    @model_validator(mode="after")
    def _one_way(self) -> "ServerSettings":
        if (self.command is None) == (self.url is None):
            raise ValueError("give either a command or a url")
        return self

    @property
    def on_host(self) -> bool:
        """Whether it is a program that runs on this machine, outside of the sandbox."""
        return self.command is not None and not self.sandbox

    def admits(self, tool: str) -> bool:
        """Whether the user lets the model have this tool."""
        return any(fnmatchcase(tool, glob) for glob in self.allow) and not any(
            fnmatchcase(tool, glob) for glob in self.deny
        )


@dataclass(frozen=True, slots=True)
class Configured:
    """A server by its name; `source` says in words where that was written. `allowed` are variables that it may name,
    None for all: what the user writes is the user's to decide."""

    name: str
    settings: ServerSettings
    source: str
    allowed: frozenset[str] | None = None

    def filled(self, variables: Mapping[str, str], repository: str) -> ServerSettings:
        """The settings with `${VAR}` filled in, and what `env_from` names in `env`.

        Raises: SettingsError for a variable that is not set or may not be read.
        """

        def fill(text: str) -> str:
            def value(found: re.Match[str]) -> str:
                name, default = found[1], found[2]
                if name == REPOSITORY:
                    return repository
                if self.allowed is not None and name not in self.allowed:
                    if default is not None:
                        return default
                    raise SettingsError(
                        f"{self.source} wants ${name}, which you have not let it read: add it to mcp_env of your "
                        "configuration, or leave the server out"
                    )
                if name not in variables and default is None:
                    raise SettingsError(f"${name} is not set, which {self.source} names")
                return variables.get(name) or default or ""

            return _VARIABLE.sub(value, text)

        given = self.settings
        if lacking := [name for name in given.env_from if name not in variables]:
            raise SettingsError(f"${lacking[0]} is not set, which env_from of {self.source} names")
        named = {name: variables[name] for name in given.env_from}
        return given.model_copy(
            update={
                "command": given.command and fill(given.command),
                "args": [fill(word) for word in given.args],
                "env": {**named, **{key: fill(value) for key, value in given.env.items()}},
                "cwd": given.cwd and fill(given.cwd),
                "url": given.url and fill(given.url),
                "headers": {key: fill(value) for key, value in given.headers.items()},
                "oauth": given.oauth.model_copy(
                    update={key: value and fill(value) for key, value in given.oauth.model_dump().items()}
                ),
            }
        )


def from_tables(tables: Mapping[str, Mapping[str, Any]], *, source: str = "your configuration") -> list[Configured]:
    """The servers of `[mcp.NAME]` tables, sorted by name. Raises: SettingsError with one line."""
    found = []
    for name in sorted(tables):
        place = f"[mcp.{name}] of {source}"
        found.append(Configured(checked_name(name), _settings(tables[name], place), place))
    return found


def from_mcp_json(text: str, *, allowed: Iterable[str] = ()) -> tuple[list[Configured], list[str]]:
    """The servers of a repository's .mcp.json, sorted by name, and a line for each entry that cannot be had.

    They run in the sandbox: a repository cannot ask for this machine. Raises: SettingsError.
    """
    try:
        entries = json.loads(text)["mcpServers"]
        if not isinstance(entries, dict):
            raise TypeError
    except (ValueError, RecursionError, KeyError, TypeError):
        raise SettingsError('.mcp.json has no "mcpServers" as JSON: it is passed over') from None
    return from_entries(entries, ".mcp.json", allowed=allowed)


def from_entries(
    entries: Mapping[str, Any], source: str, *, allowed: Iterable[str] = ()
) -> tuple[list[Configured], list[str]]:
    """As `from_mcp_json`, of entries that stand in `source`, which cannot ask for this machine either."""
    names = frozenset(allowed)
    found, problems = [], []
    for name in sorted(map(str, entries))[:MOST_SERVERS]:
        place = f"server {visible(name)[:40]!r} of {source}"
        try:
            found.append(Configured(checked_name(name), _settings(_table(entries[name]), place), place, names))
        except SettingsError as error:
            problems.append(str(error))
    if len(entries) > MOST_SERVERS:
        problems.append(f"{source} names {len(entries)} servers: those after the first {MOST_SERVERS} are left out")
    return found, problems


def checked_name(name: str) -> str:
    """Raises: SettingsError for a name that cannot stand in the names of tools."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{visible(name)[:40]!r} cannot be the name of a server: up to 31 letters, digits, - and single _"
        )
    return name


_IN_JSON = ("command", "args", "env", "url", "headers")


def _table(entry: Any) -> Mapping[str, Any]:
    """What a repository may say of a server; all else of its entry is passed over."""
    if not isinstance(entry, dict):
        return {"": entry}
    return {key: entry[key] for key in _IN_JSON if key in entry}


def _settings(table: Any, place: str) -> ServerSettings:
    try:
        return ServerSettings.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ").removeprefix("Input should ")
        what = f"{key}: {message}" if key else message
        raise SettingsError(visible(f"{place}: {what[0].lower()}{what[1:]}"[:300])) from None
