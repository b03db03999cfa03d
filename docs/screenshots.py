"""Makes the screenshots of docs/: the real screen over a real conversation with a scripted model, as SVG and then PNG.

    python docs/screenshots.py [FOLDER]

Needs resvg_py (PyPI) and a monospaced font for the PNG.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from qcode.app.branch import branch_of
from qcode.app.options import RunOptions
from qcode.app.repository import open_repository
from qcode.app.wiring import converse
from qcode.policy.policy import Mode
from qcode.ui.tui.app import Tui
from qcode.ui.tui.opening import Ready
from qcode.ui.tui.palette import DARK, LIGHT, Palette

BUGGY = '''"""Means."""


def mean(numbers):
    """The arithmetic mean; 0.0 of nothing.

    >>> mean([1, 2])
    1.5
    """
    return sum(numbers) / len(numbers)
'''

OLD = "    return sum(numbers) / len(numbers)"
NEW = "    if not numbers:\n        return 0.0\n    return sum(numbers) / len(numbers)"


def call(name: str, **arguments: str) -> str:
    values = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{values}</function>\n</tool_call>"


def used(prompt: int, cached: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "cached_tokens": cached, "completion_tokens": written}


PACE = {"chunk": 4, "pace_s": 0.02}

FIX: list[dict[str, Any]] = [
    {
        "thinking": "The mean of an empty list divides by zero. The docstring says 0.0, so that case comes first.",
        "text": "`mean([])` divides by zero, and the docstring promises **0.0**. I look at the code first.\n\n"
        + call("bash", command="cat averages.py && python3 -m doctest averages.py"),
        "usage": used(2_210, 1_540, 64),
        **PACE,
    },
    {
        "text": call("str_replace_editor", command="str_replace", path="averages.py", old_str=OLD, new_str=NEW),
        "usage": used(2_480, 2_274, 88),
        **PACE,
    },
    {
        "text": "Fixed. `mean` returns `0.0` for an empty list:\n\n```python\nif not numbers:\n    return 0.0\n```\n\n"
        "- the doctest passes\n- nothing else in the module calls `mean`",
        "usage": used(2_690, 2_568, 61),
        **PACE,
    },
]


async def finished(pilot: "Pilot[None]") -> None:
    await until(pilot, lambda app: "finished" in shown(app))


async def until(pilot: "Pilot[None]", condition: Callable[[Tui], bool]) -> None:
    app = pilot.app
    assert isinstance(app, Tui)
    async with asyncio.timeout(60):
        while not condition(app):
            await pilot.pause(0.03)
    await pilot.pause(0.15)


def shown(app: Tui) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def say(pilot: "Pilot[None]", text: str, *, send: bool = True) -> None:
    await until(pilot, lambda app: app.work.talk is not None and bool(app.board.standing.branch))
    await pilot.press(*["space" if letter == " " else letter for letter in text], *(["enter"] if send else []))


async def fix(pilot: "Pilot[None]") -> None:
    await say(pilot, "mean of an empty list fails")
    await finished(pilot)


async def prefill(pilot: "Pilot[None]") -> None:
    await say(pilot, "where is the config read")
    await until(pilot, lambda app: (read := app.board.meter.prefill) is not None and read.processed > 9_000)


async def approval(pilot: "Pilot[None]") -> None:
    await say(pilot, "mean of an empty list fails")
    await until(
        pilot, lambda app: "tab no" in shown(app) and app.questions.panel is not None and app.questions.panel.armed
    )


async def completion(pilot: "Pilot[None]") -> None:
    await say(pilot, "/", send=False)
    await until(pilot, lambda app: app.popup.chosen is not None)


STATES: dict[str, tuple[Callable[["Pilot[None]"], Awaitable[None]], list[dict[str, Any]], dict[str, Any]]] = {
    "session": (fix, FIX, {}),
    "session-light": (fix, FIX, {"palette": LIGHT}),
    "session-narrow": (fix, FIX, {"size": (40, 16)}),
    "approval": (approval, FIX[1:], {"mode": "ask"}),
    "prefill": (
        prefill,
        [{"text": "Here.", "prefill": {"total": 21_400, "cached": 4_100, "seconds": 8}}],
        {"size": (100, 14)},
    ),
    "commands": (completion, [], {"size": (100, 16)}),
}


def prepare(scratch: Path, answers: list[dict[str, Any]]) -> tuple[Path, Path]:
    root = scratch / "averages"
    root.mkdir()
    (root / "averages.py").write_text(BUGGY, encoding="utf-8")
    git = ["git", "-C", str(root), "-c", "user.name=qcode", "-c", "user.email=qcode@localhost"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "begin"], check=True)
    script = scratch / "qwen3-coder"
    script.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    return root, script


async def shoot(name: str, folder: Path) -> Path:
    act, answers, how = STATES[name]
    palette: Palette = how.get("palette", DARK)
    with tempfile.TemporaryDirectory(prefix="qcode-screenshots-") as scratch:
        root, script = prepare(Path(scratch), answers)
        options = RunOptions(repo=root, model=f"scripted:{script}", sandbox="bubblewrap", notice=lambda line: None)
        mode = Mode(how.get("mode", "yolo"))

        def load(notice: Callable[[str], None]) -> Ready:
            return Ready(open=lambda approver: converse(options, approver=approver, mode=mode))

        app = Tui(
            load,
            recall=Path(scratch) / "history",
            files=lambda: open_repository(root).files,
            branch=lambda: branch_of(root),
            palette=palette,
        )
        async with app.run_test(size=how.get("size", (100, 34))) as pilot:
            await act(pilot)
            svg = app.export_screenshot(title="qcode")
        await app.work.closed()
    file = folder / f"{name}.svg"
    file.write_text(svg, encoding="utf-8")
    return file


def to_png(svg: Path) -> None:
    import resvg_py

    text = svg.read_text(encoding="utf-8").replace("Fira Code", "DejaVu Sans Mono")
    data = resvg_py.svg_to_bytes(svg_string=text, font_family="DejaVu Sans Mono", monospace_family="DejaVu Sans Mono")
    svg.with_suffix(".png").write_bytes(bytes(data))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for name in STATES:
        svg = asyncio.run(shoot(name, folder))
        to_png(svg)
        svg.unlink()
        print(svg.with_suffix(".png"))


if __name__ == "__main__":
    main()
