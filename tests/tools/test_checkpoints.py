"""A session can go back to before any of its steps, and forth again."""

from typing import Any

import pytest

from qcode_tools.checkpoints import Checkpoints
from qcode_tools.errors import ToolError

FILES = {"a.txt": "one\n", "src/b.py": "x = 1\n"}


async def test_undo_takes_back_edits_and_commands_step_by_step(bench: Any) -> None:
    async with bench(FILES) as b:
        back = Checkpoints(b.sandbox)
        await back.mark(1, "edit a.txt")
        await b.ok("str_replace", path="a.txt", old_str="one", new_str="two")
        await back.mark(2, "rm")
        await b.ok("bash", command="rm -r src; sed -i s/two/three/ a.txt; echo new > new.txt")
        await back.mark(3, "look")
        await b.ok("bash", command="ls")

        undone = await back.undo()
        assert undone.moment.step == 2 and set(undone.changed) == {"a.txt", "new.txt", "src/b.py"}
        assert (b.root / "a.txt").read_text() == "two\n" and (b.root / "src/b.py").read_text() == "x = 1\n"
        assert not (b.root / "new.txt").exists()
        assert (await back.undo()).moment.label == "edit a.txt"
        assert (b.root / "a.txt").read_text() == "one\n"
        with pytest.raises(ToolError, match="nothing to take back"):
            await back.undo()


async def test_rewind_goes_to_any_step_and_redo_returns(bench: Any) -> None:
    async with bench(FILES) as b:
        back = Checkpoints(b.sandbox)
        for step in range(1, 6):
            await back.mark(step)
            await b.ok("bash", command=f"echo {step} > a.txt")
        assert (await back.rewind(3)).changed == ("a.txt",)
        assert (b.root / "a.txt").read_text() == "2\n"
        assert [moment.step for moment in back.moments] == [1, 2, 3]
        await back.redo()
        assert (b.root / "a.txt").read_text() == "5\n"
        await back.rewind(1)
        assert (b.root / "a.txt").read_text() == "one\n"
        with pytest.raises(ToolError, match="no moment before step 4"):
            await back.rewind(4)
        await back.mark(2)
        with pytest.raises(ToolError, match="nothing was taken back"):
            await back.redo()


async def test_edits_go_on_from_what_was_brought_back(bench: Any) -> None:
    async with bench(FILES) as b:
        back = Checkpoints(b.sandbox)
        await back.mark(1)
        await b.ok("str_replace", path="a.txt", old_str="one", new_str="two")
        await back.rewind(1)
        await b.ok("str_replace", path="a.txt", old_str="one", new_str="three")
        assert (b.root / "a.txt").read_text() == "three\n"
