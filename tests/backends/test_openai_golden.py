"""What each server really answers when something is wrong, and the error that it becomes."""

import json
from pathlib import Path
from typing import Any

import pytest

from qcode import errors
from qcode.backends.openai_compat import faults
from qcode.backends.openai_compat.habits import adapted

GOLDEN = Path(__file__).with_name("golden")
URL = "http://127.0.0.1:8000/v1"
ANSWERS = [
    pytest.param(answer, id=f"{path.stem}-{answer['case']}-{answer['status']}")
    for path in sorted(GOLDEN.glob("*.json"))
    for answer in json.loads(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_becomes_its_error(answer: dict[str, Any]) -> None:
    error = faults.from_status(answer["status"], faults.words_of(answer["body"]), URL)
    assert type(error).__name__ == answer["error"]
    assert type(error) is getattr(errors, answer["error"])
    assert str(error).isprintable()
    assert URL in str(error)


def test_every_answer_says_where_it_comes_from() -> None:
    for path in GOLDEN.glob("*.json"):
        for answer in json.loads(path.read_text(encoding="utf-8")):
            assert answer["origin"].startswith(("recorded from ", "github.com/", "as recorded by others"))
            assert answer["case"] in {
                "overflow", "overload", "loading", "unknown model", "bad request", "bad template", "engine dead",
            }  # fmt: skip


def test_what_vllm_refuses_is_asked_again_as_it_takes_it() -> None:
    """Its own words, from the golden file: without the budget, and with an answer that its window has room for."""
    words = [
        faults.words_of(answer["body"]) for answer in json.loads((GOLDEN / "vllm.json").read_text(encoding="utf-8"))
    ]
    budget = {"thinking_token_budget": 5, "chat_template_kwargs": {"enable_thinking": True}, "top_k": 20}
    simpler = [adapted(budget, said) for said in words if "thinking_token_budget" in said]
    assert simpler == [{"chat_template_kwargs": {"enable_thinking": True}, "top_k": 20}]
    shorter = [adapted({"max_tokens": 50_000}, said) for said in words if "max_model_len" in said]
    assert shorter == [{"max_tokens": 10_240}]


def test_what_sglang_refuses_is_asked_again_with_an_answer_that_fits() -> None:
    words = [faults.words_of(each["body"]) for each in json.loads((GOLDEN / "sglang.json").read_text(encoding="utf-8"))]
    shorter = [adapted({"max_tokens": 8000}, said) for said in words if "for the completion" in said]
    assert shorter == [{"max_tokens": 7192}]
