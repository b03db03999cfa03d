"""The real screen over a real conversation: a scripted model, a sandbox without isolation, a repository."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from waiting import PATIENCE_S

from qcode.agent.approval import Approver
from qcode.agent.limits import Limits
from qcode.agent.profile import PROFILES
from qcode.app.conversation import Conversation
from qcode.app.model_in_use import ModelInUse
from qcode.app.models import Models
from qcode.app.repository import open_repository
from qcode.backends.scripted import ScriptedBackend
from qcode.model import Sampling
from qcode.policy.policy import Mode, Policy
from qcode.ui.tui.app import Tui
from qcode.ui.tui.opening import Ready
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.specs import HostSpec, Source
from qcode_tools.toolsets import build_toolset

Screen = Callable[..., AbstractAsyncContextManager["Seen"]]


class Seen:
    """The screen as a person has it: keys in, lines out."""

    def __init__(self, pilot: "Pilot[None]", app: Tui) -> None:
        self.pilot, self.app = pilot, app

    @property
    def lines(self) -> list[str]:
        """The text on the screen, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def type(self, text: str) -> None:
        await self.pilot.press(*["enter" if c == "\n" else "space" if c == " " else _key(c) for c in text])

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, *words: str, gone: str = "", seconds: float = PATIENCE_S) -> str:
        """Wait until all these words are on the screen, and `gone` is not."""
        try:
            async with asyncio.timeout(seconds):
                while not all(word in self.text for word in words) or (gone and gone in self.text):
                    await self.pilot.pause(0.02)
        except TimeoutError:
            pytest.fail(f"not seen: {words} without {gone!r} in\n{self.text}")
        return self.text


def _key(character: str) -> str:
    from textual.keys import _character_to_key

    return _character_to_key(character)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    (root / "src").mkdir(parents=True)
    (root / "src" / "average.py").write_text("def mean(xs):\n    return sum(xs) / len(x)\n")
    (root / "README.md").write_text("hello\n")
    git = ["git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=n@e"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "begin"], check=True)
    return root


@pytest.fixture
def screen(repository: Path, tmp_path: Path) -> Screen:
    @asynccontextmanager
    async def show(
        *answers: dict[str, Any],
        size: tuple[int, int] = (90, 28),
        mode: str = "yolo",
        resume: Path | None = None,
        load_first: Callable[[], None] = lambda: None,
        models: Models | None = None,
        **ready: Any,
    ) -> AsyncIterator[Seen]:
        script = tmp_path / "script.jsonl"
        script.write_text("".join(json.dumps(answer) + "\n" for answer in answers))

        def open_talk(approver: Approver) -> Conversation:
            listed = open_repository(repository)
            return Conversation(
                model=ModelInUse(
                    ScriptedBackend(script), build_toolset("swe", cache=tmp_path / "cache"), PROFILES["swe"], Sampling()
                ),
                limits=Limits(),
                open_sandbox=lambda: open_sandbox(HostSpec(source=Source(root=listed.root, files=listed.files))),
                sandbox_name="none",
                cwd=repository,
                policy=Policy(Mode(mode)),
                approver=approver,
                copied=True,
                session_dir=tmp_path / "sessions",
                resume=resume,
                models=models,
            )

        def load(notice: Callable[[str], None]) -> Ready:
            load_first()
            return Ready(open=open_talk, **ready)

        app = Tui(
            load,
            recall=tmp_path / "recall.jsonl",
            files=lambda: open_repository(repository).files,
            branch=lambda: ("main", False),
        )
        async with app.run_test(size=size) as pilot:
            yield Seen(pilot, app)
        await app.work.closed()

    return show
