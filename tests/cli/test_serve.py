"""`qcode serve` takes what the user has set, as the other commands do."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calls import Qcode

from qcode.cli.main import run

GPUS = ("--machine", "8x141", "--dry-run", "--json")
Ask = Callable[..., tuple[int, str, str]]
Plan = Callable[..., dict[str, Any]]


@pytest.fixture
def configure() -> Any:
    """Writes the user's configuration."""

    def write(text: str) -> None:
        file = Path(os.environ["XDG_CONFIG_HOME"]) / "qcode" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`code, stdout, stderr = ask("serve", …)`, in a folder that is no repository."""
    monkeypatch.chdir(tmp_path)

    def asked(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(map(str, words)))
        return (code, *capsys.readouterr())

    return asked


@pytest.fixture
def plan(ask: Ask) -> Plan:
    """The plan of `qcode serve` with these words."""

    def planned(*words: object) -> dict[str, Any]:
        code, stdout, stderr = ask("serve", *words, *GPUS)
        assert code == 0, stderr
        found = json.loads(stdout)
        assert isinstance(found, dict)
        return found

    return planned


def test_model_engine_and_context_are_those_of_the_configuration(
    plan: Plan, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure('model = "qwen3-8b"\nengine = "sglang"\ncontext = 65536\n')
    found = plan()
    assert (found["model"], found["engine"], found["context"]) == ("qwen3-8b", "sglang", 65_536)
    monkeypatch.setenv("QCODE_CONTEXT", "20480")
    assert plan()["context"] == 20_480
    found = plan("qwen3-14b", "--engine", "vllm", "--context", "40960")
    assert (found["model"], found["engine"], found["context"]) == ("qwen3-14b", "vllm", 40_960)


def test_beside_a_server_elsewhere_the_model_is_what_that_server_calls_it(
    ask: Ask, plan: Plan, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure('model = "Qwen3-Coder-30B-A3B-Instruct-FP8"\nbase_url = "http://192.0.2.1:8000/v1"\n')
    assert plan()["model"] == "qwen3-coder-30b-a3b"
    configure('model = "somebody/else"\nbase_url = "http://192.0.2.1:8000/v1"\n')
    assert plan()["model"] == "qwen3-coder-480b-a35b"
    monkeypatch.setenv("QCODE_SGLANG_PYTHON", "/no/such/python")
    code, _, stderr = ask("serve", "--engine", "sglang")
    assert code == 2
    assert "sessions go on asking http://192.0.2.1:8000/v1, which is set as base_url" in stderr


def test_a_mistake_is_named_and_does_not_stand_in_the_way_of_looking(ask: Ask, configure: Any) -> None:
    configure('engin = "vllm"\n')
    code, _, stderr = ask("serve", "--dry-run")
    assert code == 2
    assert "engine" in stderr
    assert stderr.count("\n") == 1
    assert "no server of qcode's runs here" in ask("serve", "status")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--card", "--engine", "vllm", "--speculation", "mtp"], "no command for vllm with --speculation mtp"),
        (["--card", "--engine", "llama-server"], "no command for llama-server"),
        (["--dry-run", "--machine", "8x"], "--machine must look like 8x80"),
        (["--machine", "8x80"], "--machine is for --dry-run"),
        (["--dry-run", "--context", "2000000"], "reaches 1048576 tokens with YaRN"),
        (["--dry-run", "--engine", "vllm", "--machine", "1x24"], "does not fit"),
        (["--dry-run", "--machine", "8x141", "--python", "/no/python"], "--python /no/python is no interpreter"),
        (["qwen3-8b"], "one model at a time"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(ask: Ask, words: list[str], said: str) -> None:
    code, stdout, stderr = ask("serve", "qwen3-coder-480b-a35b", *words)
    assert (code, stdout) == (2, "")
    assert said in stderr.splitlines()[-1]


def test_a_port_that_is_none(qcode: Qcode) -> None:
    done = qcode("serve", "qwen3-8b", "--dry-run", "--port", "70000")
    assert done.returncode == 2
    assert "argument --port: must be from 1 to 65000" in done.stderr


@pytest.mark.model
def test_a_file_is_served_as_the_model_that_it_is(ask: Ask, small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCODE_MODEL", str(small_model))
    found = json.loads(ask("serve", "--dry-run", "--json")[1])
    assert (found["model"], found["weights"]["model"]) == ("qwen2.5-coder-0.5b", str(small_model))


def test_offline_the_engine_asks_no_hub(qcode: Qcode) -> None:
    for words, value in (((), None), (("--offline",), "1")):
        [command] = json.loads(qcode("serve", "qwen3-8b", "--engine", "vllm", *words, *GPUS).stdout)["commands"]
        assert command["environment"].get("HF_HUB_OFFLINE") == value
