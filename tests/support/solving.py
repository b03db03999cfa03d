"""A run over a small tree on the host, to its end."""

from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from calls import BUG, scripted

from qcode.agent.limits import Limits
from qcode.agent.profile import PROFILES
from qcode.app.solve import Outcome, Solve
from qcode.backends.scripted import ScriptedBackend
from qcode.events import Event
from qcode.model import Backend, Sampling
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.specs import HostSpec, Source
from qcode_tools.toolsets import build_toolset


def script(folder: Path, *answers: str | Mapping[str, Any]) -> ScriptedBackend:
    """A model that gives these answers."""
    scripted(folder / "script.jsonl", *answers)
    return ScriptedBackend(folder / "script.jsonl")


async def solved(
    folder: Path,
    backend: Backend,
    *,
    toolset: str = "swe",
    profile: str = "",
    limits: Limits | None = None,
    task: str = "fix it",
    files: Mapping[str, str] = BUG,
) -> tuple[Outcome, list[Event]]:
    """What came of it, and all events. The tree and the log are below `folder`."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    for name, text in files.items():
        (tree / name).write_text(text, encoding="utf-8")
    run = Solve(
        task=task,
        backend=backend,
        open_sandbox=lambda: open_sandbox(HostSpec(source=Source(tree, tuple(files)))),
        sandbox_name="none",
        toolset=build_toolset(toolset),
        profile=PROFILES[profile or toolset],
        limits=limits or Limits(),
        sampling=Sampling(),
        cwd=tree,
        session_dir=folder / "sessions",
    )
    async with aclosing(run.events()) as events:
        seen = [event async for event in events]
    assert run.outcome is not None
    return run.outcome, seen
