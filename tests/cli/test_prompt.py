"""`qcode prompt`: what the first request holds and costs."""

import json
from pathlib import Path

import pytest
from calls import Qcode


@pytest.mark.model
def test_the_bill_is_exact_with_a_model_and_its_parts_add_up(qcode: Qcode, small_model: Path) -> None:
    done = qcode("prompt", "--tokens", "--json", "--tools", "swe", "--model", small_model)
    assert done.returncode == 0, done.stderr
    bill = json.loads(done.stdout)
    assert bill["exact"] is True
    assert bill["system"] + sum(bill["tools"].values()) + bill["task"] + bill["template"] == bill["total"]
    assert {"bash", "str_replace_editor"} <= bill["tools"].keys()
    assert all(tokens > 20 for tokens in bill["tools"].values())
    assert bill["task"] == 0
    # The limit of the project: a first request below 2,000 tokens.
    assert bill["total"] < 2000


def test_an_estimate_says_that_it_is_one(qcode: Qcode, tmp_path: Path) -> None:
    task = tmp_path / "task.md"
    task.write_text("word " * 400, encoding="utf-8")
    nowhere = str(tmp_path / "none")
    done = qcode("prompt", "--tokens", "--json", "--tools", "small", "--task", task, QCODE_MODELS_DIR=nowhere)
    assert done.returncode == 0, done.stderr
    bill = json.loads(done.stdout)
    assert bill["exact"] is False
    assert bill["task"] == pytest.approx(500, rel=0.1)
    shown = qcode("prompt", "--tokens", QCODE_MODELS_DIR=nowhere)
    assert "estimated" in shown.stdout
    assert "tool bash" in shown.stdout


def test_the_prompt_itself(qcode: Qcode, tmp_path: Path) -> None:
    done = qcode("prompt", "--tools", "swe", QCODE_MODELS_DIR=str(tmp_path / "none"))
    assert done.stdout.startswith("<|im_start|>system\n")
    assert "<name>bash</name>" in done.stdout
