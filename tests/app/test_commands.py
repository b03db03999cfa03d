"""The commands that every screen has."""

from pathlib import Path

import pytest
from calls import call, edit
from talking import work

from qcode.app.commands import COMMANDS, Leave, parse, run
from qcode.errors import ConfigError

FIX = edit("calc.py", "a - b", "a + b")


async def test_what_is_a_command() -> None:
    assert parse("/help") == ("help", "") and parse(" /rewind  2 ") == ("rewind", "2")
    assert parse("/usr/bin/env is missing") is None and parse("hello /help") is None and parse("/") is None


async def test_commands_answer_in_words(talk, home: Path) -> None:
    shell = call("bash", command="echo x > x.txt")
    async with talk(FIX, "Fixed.", shell, "Made.") as t:
        for name in ("rewind", "diff", "context", "stats", "tools", "help"):
            said = await run(t, f"/{name}")
            assert said is not None and said.text
        await work(t, "fix it\nplease")
        await work(t, "make x")

        async def say(line: str) -> str:
            said = await run(t, line)
            assert said is not None
            return said.text

        assert "1  fix it" in await say("/rewind") and "please" not in await say("/rewind")
        assert "+    return a + b" in await say("/diff")
        assert "results of bash" in await say("/context")
        assert "2 turns, 4 answers" in await say("/stats")
        assert "bash" in await say("/tools")
        listed = await say("/help")
        assert all(f"/{name}" in listed for name in COMMANDS)
        assert "mode plan" in await say("/mode plan") and t.policy.mode == "plan"
        assert "taken back: x.txt" in await say("/undo")
        assert (await say("/rewind 2")).startswith("back to before turn 2")
        assert t.turns == 1
        assert "new conversation" in await say("/clear") and t.history == ()
        assert "a + b" in (home / "calc.py").read_text(encoding="utf-8")
        assert "in the repository itself" in await say("/apply")

        await say("/export")
        written = (home / f"qcode-{t.session.id}.md").read_text(encoding="utf-8")
        assert "fix it" in written and "Fixed." in written
        await say("/export ms-swift talk.jsonl")
        assert (home / "talk.jsonl").read_text(encoding="utf-8").startswith("{")
        with pytest.raises(ConfigError, match="is there already: name another one"):
            await say("/export talk.jsonl")
        with pytest.raises(ConfigError, match="cannot write"):
            await say("/export no/such/folder.md")
        # Exported again on another day, without a name.
        for number in (2, 3):
            name = f"qcode-{t.session.id}_{number}.md"
            assert name in await say("/export")
            assert "Fixed." in (home / name).read_text(encoding="utf-8")


async def test_mistakes_are_said(talk) -> None:
    async with talk("x") as t:
        for line, words in {
            "/unod": "did you mean /undo",
            "/mode fast": "the modes are",
            "/rewind x": "number of a turn",
            "/rewind 7": "no turn 7",
            "/steer": "takes the words",
            "/export pdf": "'pdf' is no form: markdown, json",
            "/undo 2": "takes nothing after it",
            "/steer left": "no turn is running",
        }.items():
            with pytest.raises(ConfigError, match=words):
                await run(t, line)
        with pytest.raises(Leave):
            await run(t, "/quit")
        assert await run(t, "just words") is None


async def test_what_each_turn_and_each_part_cost(talk, home: Path) -> None:
    def answer(text: str, prompt: int, cached: int, seconds: float) -> dict[str, object]:
        reading = {"total": prompt, "cached": cached, "seconds": seconds}
        return {"text": text, "prefill": reading,
                "usage": {"prompt_tokens": prompt, "cached_tokens": cached, "completion_tokens": 40}}  # fmt: skip

    shell = call("bash", command="echo x > x.txt")
    answers = [answer(shell, 3_000, 0, 0.2), answer("Made.", 3_200, 3_000, 0), answer("Well.", 4_000, 1_000, 0.2)]
    async with talk(*answers) as t:
        await work(t, "make x\nplease")
        await work(t, "and more")

        async def lines() -> list[str]:
            said = await run(t, "/context")
            assert said is not None
            return said.text.split("\n")

        shown = await lines()
        told = [line.split("  ") for line in shown[1 : shown.index("")] if "%" in line]
        parts = sum(int(next(filter(None, row[1:])).replace(",", "")) for row in told)
        total = int(shown[0].split()[1].replace(",", ""))
        assert abs(parts - total) < len(told), f"the parts are the whole: {parts} of {total}"
        table = {line[: line.index("  ")]: line.split() for line in shown if "  " in line}
        # The cache has the prompt's beginning: the system prompt whole, and nothing of the end.
        assert table["system prompt"][3] == "100%"
        assert table["results of bash"][4] == "0%"
        assert all(row[-1] == "s" for name, row in table.items() if name in {"system prompt", "tools", "your words"})
        assert any("tokens/s as measured" in line for line in shown)
        first, second = (line.split() for line in shown[-2:])
        assert first[:3] == ["1", "6,200", "48%"]
        assert second[:3] == ["2", "4,000", "25%"]
        assert first[-3:] == ["make", "x", "please"]
        assert float(first[3]) >= 0.2
        await run(t, "/rewind 2")
        assert (await lines())[-1].split()[:2] == ["1", "6,200"]
        await run(t, "/clear")
        assert not any(line.startswith("turn ") for line in await lines())
