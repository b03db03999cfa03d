"""/model: the models that can answer, to pick from by keys."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai_script import module

from qcode.app.models import Models
from qcode.app.options import RunOptions

NAMES = ("Qwen/Qwen3-Coder-Next", "Qwen/Qwen3-Coder-480B-A35B-Instruct")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A server of two models, which is found on this machine."""
    entries = [{"id": name, "owned_by": "vllm", "object": "model", "max_model_len": 65_536} for name in NAMES]
    made = module().OpenAIServer([{"text": "I am the next one."}], routes={"/v1/models": (200, {"data": entries})})
    url = await made.start()
    monkeypatch.setenv("QCODE_PORTS", url.rpartition(":")[2].removesuffix("/v1"))
    yield made
    await made.stop()


@pytest.fixture
def models(repository: Path) -> Models:
    return Models(RunOptions(repo=repository, model="scripted:script.jsonl", sandbox="none"), reaching=False)


async def test_the_model_that_is_picked_answers_from_then_on(screen, models, server):
    async with screen({"text": "I am scripted."}, models=models) as seen:
        await seen.type("who are you\n")
        await seen.until("I am scripted.", "finished")
        await seen.type("/model\n")
        text = await seen.until("Instead of", "let answer · type to search", *NAMES)
        assert "script.jsonl" in text.splitlines()[0], "of a long name the end"
        await seen.type("480b")
        await seen.until(NAMES[1], gone=NAMES[0])
        await seen.press("backspace", "backspace", "backspace", "backspace")
        await seen.until(*NAMES)
        await seen.type("next")
        await seen.until(NAMES[0], gone=NAMES[1])
        await seen.press("enter")
        await seen.until("the model that answers is now Qwen/Qwen3-Coder-Next", "reads the conversation anew")
        await seen.type("and you\n")
        await seen.until("I am the next one.")
        assert {body["model"] for body in server.bodies} == {NAMES[0]}


async def test_escape_leaves_the_list_and_the_model_as_it_is(screen, models, server):
    async with screen({"text": "I am scripted."}, models=models) as seen:
        await seen.until("none")
        await seen.type("/model\n")
        await seen.until("Instead of", *NAMES)
        await seen.press("escape")
        await seen.until("Say what to do.", gone="Instead of")
        await seen.type("who are you\n")
        await seen.until("I am scripted.")
        assert server.bodies == []


async def test_one_that_is_gone_when_it_is_picked_is_said_and_the_old_one_answers(screen, models, server):
    async with screen({"text": "I am scripted."}, models=models) as seen:
        await seen.until("none")
        await seen.type("/model\n")
        await seen.until("Instead of", *NAMES)
        await server.stop()
        await seen.press("enter")
        await seen.until("Nothing answers at", gone="Instead of")
        await seen.type("who are you\n")
        await seen.until("I am scripted.")


async def test_without_another_one_the_forms_of_a_name_are_said(screen, models, monkeypatch, tmp_path):
    monkeypatch.setenv("QCODE_PORTS", "")
    monkeypatch.setenv("QCODE_MODELS_DIR", str(tmp_path / "no-models"))
    async with screen(models=models) as seen:
        await seen.until("none")
        await seen.type("/model\n")
        await seen.until("answers now", "/model takes NAME", "FILE.gguf")
