"""What the user asked for of a session, of whatever kind it is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qcode.backends.retry import RetryPolicy
from qcode.codec.types import Dialect
from qcode.config.settings import Settings
from qcode.config.trust import Folder
from qcode.policy.rules import rules_of
from qcode_sandbox.allowlist import NONE
from qcode_tools.toolsets import ToolsetName

if TYPE_CHECKING:
    from qcode_tools.mcp.settings import Configured


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """A run or a session as the user asked for it; None leaves a choice to qcode. `retry` is how often a server is
    asked again, `notice` gets lines for the user."""

    repo: Path
    model: str | None = None
    base_url: str | None = None
    engine: Literal["vllm", "sglang", "llama-server"] | None = None
    tools: ToolsetName | None = None
    context: int | None = None
    small_context: bool = False
    think: bool | None = None
    thinking_budget: int | None = None
    temperature: float | None = None
    seed: int | None = None
    constrain: bool = True
    dialect: Dialect | None = None
    sandbox: Literal["auto", "docker", "bubblewrap", "none"] = "auto"
    image: str | None = None
    build_network: bool = False
    network: str = NONE
    max_turns: int | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None
    compact_at: float | None = 0.8
    offline: bool = False
    folder: Folder | None = None
    rules: tuple[str, ...] = ()
    servers: "tuple[Configured, ...]" = ()
    slots: int = 1
    retry: RetryPolicy | None = None
    notice: Callable[[str], None] = print


def options_from(
    settings: Settings, *, repo: Path, notice: Callable[[str], None], folder: Folder | None = None
) -> RunOptions:
    """The options of a session with these settings; `folder` is what may be read of the repository's instructions."""
    return RunOptions(
        repo=repo,
        model=settings.model,
        base_url=settings.base_url,
        engine=settings.engine,
        tools=settings.tools,
        context=settings.context,
        small_context=settings.small_context,
        think=settings.thinking,
        thinking_budget=settings.thinking_budget,
        temperature=settings.temperature,
        seed=settings.seed,
        constrain=settings.constrain,
        dialect=None if settings.dialect is None else Dialect(settings.dialect),
        sandbox=settings.sandbox,
        image=settings.image,
        build_network=settings.build_network,
        network=_network(settings, notice),
        max_turns=settings.limits.max_turns,
        max_tokens=settings.limits.max_tokens,
        max_seconds=settings.limits.max_seconds,
        compact_at=settings.compaction.share if settings.compaction.auto else None,
        folder=folder,
        offline=settings.offline,
        rules=rules_of(allow=settings.permissions.allow, ask=settings.permissions.ask, deny=settings.permissions.deny),
        notice=notice,
    )


def _network(settings: Settings, notice: Callable[[str], None]) -> str:
    """What a sandbox may reach: nothing when qcode is offline."""
    if settings.offline and settings.network != NONE:
        notice(f"offline: the sandbox reaches nothing, whatever --network says ({settings.network})")
        return NONE
    return settings.network
