import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from qcode.agent.profile import PROFILES
from qcode.events import AssistantDone, Event, SessionStarted, ToolFinished, TurnFinished, TurnStarted
from qcode.events import Reason as Why
from qcode.messages import Assistant, ToolCall, Usage
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.cli import main
from qcode_evals.running.making import Made
from qcode_evals.running.results import Results
from qcode_tools.result import Status, ToolResult

TEMPLATE = Path(__file__).parents[2] / "benchmarks" / "qwen3_coder.jinja"


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id=f"call_{name}", name=name, arguments=arguments)


def answered(made: ToolCall, status: Status, content: str) -> ToolFinished:
    return ToolFinished(result=ToolResult(call_id=made.id, name=made.name, status=status, content=content))


def log(*, good: bool, name: str = "bash", repaired: bool = False) -> bytes:
    """A session of two calls, of which the first fails, and a last word."""
    written = "<function=str_replace_editor>" if repaired else ""
    wrong, right = call(name, command="cat nowhere"), call("str_replace_editor", command="view", path="é.py")
    started = SessionStarted(
        session_id="s", qcode_version="0", started_at="2026-01-01T00:00:00+00:00", cwd="/testbed", model="m",
        engine="e", sandbox="docker", system=PROFILES["swe"].system, tools=("bash", "str_replace_editor"),
        settings={"toolset": "swe"},
    )  # fmt: skip
    events: list[Event] = [
        started,
        TurnStarted(text="Repair it."),
        AssistantDone(message=Assistant(text="Look.", tool_calls=(wrong,))),
        answered(wrong, Status.ERROR, "no such file"),
        AssistantDone(
            message=Assistant(text="", tool_calls=(right,), usage=Usage(completion_tokens=9), written=written)
        ),
        answered(right, Status.OK, "x = '<tool_call>é<|im_end|>'\n"),
        AssistantDone(message=Assistant(text="Done." if good else "I give up.")),
        TurnFinished(reason=Why.FINISHED),
    ]
    return "".join(event.model_dump_json() + "\n" for event in events).encode()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    written = Results(folder, resume=False)
    for repeat, outcome in enumerate((Outcome.RESOLVED, Outcome.UNRESOLVED, Outcome.INFRA_ERROR)):
        good = outcome is Outcome.RESOLVED
        attempt = Attempt(
            instance_id="a", repeat=repeat, key="k", agent="qcode", model="m", outcome=outcome, resolved=good
        )
        written.add(Made(attempt, "x", None, ("session.jsonl", log(good=good))))
    return folder


def exported(results: Path, *options: str) -> list[dict[str, Any]]:
    out = results / "x.jsonl"
    assert main(["export", str(results), "--out", str(out), *options]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_openai(results: Path) -> None:
    first, second = exported(results)
    assert (first["reward"], second["reward"]) == (1.0, 0.0)
    assert [message["role"] for message in first["messages"]] == [
        "system", "user", "assistant", "tool", "assistant", "tool", "assistant",
    ]  # fmt: skip
    answers = [message for message in first["messages"] if message["role"] == "assistant"]
    assert [answer["weight"] for answer in answers] == [0, 1, 1], "a call that failed is not learned"
    function = answers[1]["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"command": "view", "path": "é.py"}
    assert first["messages"][3]["tool_call_id"] == answers[0]["tool_calls"][0]["id"]
    assert {tool["function"]["name"] for tool in first["tools"]} == {"bash", "str_replace_editor"}


def test_ms_swift(results: Path) -> None:
    (first,) = exported(results, "--format", "ms-swift", "--resolved")
    assert [(message["role"], message.get("loss")) for message in first["messages"]] == [
        ("system", None), ("user", None), ("assistant", False), ("tool_call", False), ("tool_response", None),
        ("tool_call", True), ("tool_response", None), ("assistant", True),
    ]  # fmt: skip
    assert json.loads(first["messages"][3]["content"]) == {"name": "bash", "arguments": {"command": "cat nowhere"}}
    assert json.loads(first["tools"])[0]["type"] == "function"


def test_sharegpt(results: Path) -> None:
    first, _ = exported(results, "--format", "sharegpt")
    assert [message["from"] for message in first["conversations"]] == [
        "human", "gpt", "function_call", "observation", "function_call", "observation", "gpt",
    ]  # fmt: skip
    assert [message["loss"] for message in first["conversations"] if "loss" in message] == [False, False, True, True]
    assert first["system"].startswith(PROFILES["swe"].system[:20])


def test_pairs_are_of_one_task(results: Path) -> None:
    (pair,) = exported(results, "--pairs")
    assert pair["messages"][-1]["content"] == "Done."
    assert pair["rejected_messages"][-1]["content"] == "I give up."
    assert pair["messages"][:2] == pair["rejected_messages"][:2]


def test_what_the_template_would_change_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    written = Results(folder, resume=False)
    attempt = Attempt(instance_id="a", key="k", agent="qcode", model="m", outcome=Outcome.RESOLVED, resolved=True)
    written.add(Made(attempt, "x", None, ("session.jsonl", log(good=True, name="ba<sh>\n"))))
    assert main(["export", str(folder), "--out", str(folder / "x.jsonl")]) == 1
    assert "left out: 1 that do not come out of the chat template as they went in" in capsys.readouterr().out
    assert not (folder / "x.jsonl").exists()


def test_no_file_ends_a_turn_of_the_training_data(results: Path) -> None:
    for form in ("openai", "ms-swift", "sharegpt"):
        exported(results, "--format", form)
        text = (results / "x.jsonl").read_text(encoding="utf-8")
        assert "im_end|>'" in text
        assert "<|im_end|>" not in text


def test_what_was_repaired_is_learned_only_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    written = Results(folder, resume=False)
    attempt = Attempt(instance_id="a", key="k", agent="qcode", model="m", outcome=Outcome.RESOLVED, resolved=True)
    written.add(Made(attempt, "x", None, ("session.jsonl", log(good=True, repaired=True))))
    (plain,) = exported(folder)
    assert "1 of 3 answers are learned from; 1 more had to be repaired (--repaired)" in capsys.readouterr().out
    (asked,) = exported(folder, "--repaired")
    weights = [[m["weight"] for m in row["messages"] if m["role"] == "assistant"] for row in (plain, asked)]
    assert weights == [[0, 0, 1], [0, 1, 1]]
    assert "<function=" not in json.dumps(asked["messages"][4:]), "as it stands after it was repaired"


def test_only_what_there_is_can_be_paired(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(results / "x.jsonl"), "--pairs"]
    assert main(["export", str(results), *out, "--resolved"]) == 2
    assert "leave --resolved out" in capsys.readouterr().err
    kept = [line for line in (results / "attempts.jsonl").read_text(encoding="utf-8").splitlines() if '"k"' in line]
    (results / "attempts.jsonl").write_text(kept[0] + "\n", encoding="utf-8")
    assert main(["export", str(results), *out]) == 1
    assert "a pair needs one attempt that resolved its task, and one that did not" in capsys.readouterr().out


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder: Qwen3-Coder's chat template, and a tokenizer of bytes with its control tokens."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_it_is_read_back_through_a_models_own_template_and_tokens(
    results: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = exported(results, "--tokenizer", str(model))
    said = capsys.readouterr().out
    learned = (
        "<tool_call>\n<function=str_replace_editor>\n<parameter=command>\nview\n</parameter>\n"
        "<parameter=path>\né.py\n</parameter>\n</function>\n</tool_call>"
    )
    control = 2  # the end of each answer that is learned
    assert first["loss_tokens"] == len(learned.encode()) + len("Done.") + control
    assert first["tokens"] > 2000, "the tools stand in the prompt"
    assert f"{2 * first['tokens'] + 5:,} tokens" in said, "'I give up.' is five longer"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (
            "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
            "{% if add_generation_prompt %}Now:{% endif %}",
            "does not write an answer where",
        ),
        ("{{ raise_exception('no tools here') }}", "does not take it: no tools here"),
        (
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | upper }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
            "a call does not come back from its tokens",
        ),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "does not take it: access to attribute"),
    ],
)
def test_a_template_that_changes_it_is_told(
    results: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], template: str, why: str
) -> None:
    (tmp_path / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    arguments = ["export", str(results), "--out", str(tmp_path / "x"), "--tokenizer", str(tmp_path)]
    assert main(arguments) == 1
    assert why in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "holds no chat template of a model"),
        ({"chat_template.jinja": "{% for"}, "cannot be read"),
        ({"chat_template.jinja": "x"}, "tokenizer.json: No such file"),
        ({"chat_template.jinja": "x", "tokenizer.json": "{}"}, "is not a tokenizer"),
        ({"tokenizer_config.json": "[]"}, "holds no chat template of a model"),
    ],
)
def test_a_folder_that_is_no_models(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], why: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["export", str(results), "--out", str(tmp_path / "x"), "--tokenizer", str(tmp_path)]) == 2
    assert why in capsys.readouterr().err
