"""A seed is kept from the one server that was seen to end at it."""

import dataclasses
from pathlib import Path

import pytest

from qcode.app.model_choice import pick_model
from qcode.app.options import RunOptions
from qcode.models.registry import find
from qcode.serving.hardware import Machine, described
from qcode.serving.plan import Wish
from qcode.serving.planning import make_plan
from qcode.serving.profiles import EngineName
from qcode.serving.state import Phase, Record, folder_of

URL = "http://127.0.0.1:8123/v1"


@pytest.mark.parametrize(
    ("machine", "url", "seed"),
    [
        (Machine(ram=64 * 1024**3, cpus=2), URL, None),
        (Machine(ram=64 * 1024**3, cpus=2), "http://127.0.0.1:9/v1", 7),
        (described("1x80"), URL, 7),
    ],
    ids=["vLLM on a processor", "another server", "vLLM on a GPU"],
)
def test_vllm_on_a_processor_is_asked_without_a_seed(
    tmp_path: Path, machine: Machine, url: str, seed: int | None
) -> None:
    card = find("qwen2.5-coder-1.5b")
    plan = make_plan(Wish(card=card, engine=EngineName.VLLM, port=8123), machine)
    folder = folder_of(plan.id)
    folder.make()
    folder.write_plan(plan)
    folder.write(
        Record(
            id=plan.id, model=card.name, title=card.title, engine="vllm", served=card.name, base_url=URL,
            phase=Phase.READY, context=plan.context, since="2026-11-22T00:00:00+00:00", supervisor=1,
        )
    )  # fmt: skip
    assert folder.take_lock() is not None
    said: list[str] = []
    options = RunOptions(repo=tmp_path, model=card.name, base_url=url, seed=7)
    model = pick_model(dataclasses.replace(options, notice=said.append))
    assert model.sampling.seed == seed
    assert len(said) == (seed is None)
