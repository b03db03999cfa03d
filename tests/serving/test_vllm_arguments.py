"""Every vLLM command of every profile passes the parser of the vLLM that is installed."""

import json
import subprocess
from itertools import product
from pathlib import Path

import pytest

from qcode.errors import ConfigError
from qcode.models.card import Architecture, Shape
from qcode.models.parameters import parameters
from qcode.models.registry import find, load_registry
from qcode.serving.command import launches, published
from qcode.serving.hardware import Machine, described
from qcode.serving.plan import Wish
from qcode.serving.planning import make_plan
from qcode.serving.profiles import EngineName

pytestmark = pytest.mark.serving

SCRIPTS = Path(__file__).parent / "vllm_env"
GIB = 1024**3


def ask(python: Path, script: str, lines: list[str]) -> list[str]:
    done = subprocess.run(
        [python, "-P", SCRIPTS / script],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=600,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def commands() -> dict[str, list[str]]:
    """Name to words, for every model and everything that changes its command."""
    found: dict[str, list[str]] = {}
    machines = ["1x80", "2x80", "8x80", "8x141", "8x192", "0,2000"]
    wishes: list[dict[str, object]] = [
        {}, {"speculation": "ngram"}, {"speculation": "mtp"}, {"quantization": "fp8"}, {"quantization": "bf16"},
        {"hub": "modelscope"}, {"yarn": True}, {"nodes": 2}, {"nodes": 2, "cluster": "own"}, {"replicas": 2},
    ]  # fmt: skip
    for card, machine, wish in product(load_registry(), machines, wishes):
        more = dict(wish)
        if more.pop("yarn", False):
            more["context"] = card.context.extended
        try:
            where = described(machine) if machine != "0,2000" else Machine(ram=2000 * GIB, cpus=64)
            plan = make_plan(Wish(card=card, engine=EngineName.VLLM, **more), where)  # type: ignore[arg-type]
        except ConfigError:
            continue
        for launch in launches(plan):
            if launch.role == "server":
                words = list(launch.argv[4:])
                if words[0] == "serve":
                    words = words[1:]
                found[f"{card.name} {machine} {wish} {launch.rank}"] = words
        for speculation in ("off", "mtp"):
            text = published(card, EngineName.VLLM, "huggingface", speculation)
            if text is not None:
                import shlex

                words = shlex.split(text)
                found[f"{card.name} card {speculation}"] = words[words.index("serve") + 1 :]
    return found


def test_every_command_line_passes_the_real_parser(vllm_python: Path) -> None:
    lines = commands()
    assert len(lines) > 300
    assert {name.split()[0] for name in lines} == {card.name for card in load_registry()}
    distinct = sorted({json.dumps(words) for words in lines.values()})
    answers = [json.loads(line) for line in ask(vllm_python, "arguments.py", distinct)]
    refused = {words: answer for words, answer in zip(distinct, answers, strict=True) if answer}
    assert refused == {}


def test_the_parser_does_refuse(vllm_python: Path) -> None:
    """What could pass here anything would prove nothing."""
    wrong = [
        ["--model", "x", "--enable-expert-paralel"],
        ["--model", "x", "--enable-auto-tool-choice"],
        ["--model", "x", "--enable-auto-tool-choice", "--tool-call-parser", "qwen3-coder"],
        ["--model", "x", "--speculative-config", "{method:mtp}"],
        ["--model", "x", "--tensor-parallel-size", "two"],
    ]
    answers = [json.loads(line) for line in ask(vllm_python, "arguments.py", [json.dumps(words) for words in wrong])]
    assert all(answers), answers


def test_parameters_are_counted_as_transformers_counts_them(vllm_python: Path) -> None:
    cards = [find(name) for name in ("qwen3-coder-480b-a35b", "qwen3-coder-next", "qwen3-8b", "qwen2.5-coder-1.5b")]
    counts = ask(vllm_python, "count.py", [json.dumps(config_of(card.architecture)) for card in cards])
    assert [int(count) for count in counts] == [parameters(card.architecture).total for card in cards]


def config_of(shape: Architecture) -> dict[str, object]:
    """The config.json that a card's shape describes."""
    kinds = {"Qwen3MoeForCausalLM": "qwen3_moe", "Qwen3NextForCausalLM": "qwen3_next", "Qwen3ForCausalLM": "qwen3",
             "Qwen2ForCausalLM": "qwen2"}  # fmt: skip
    config: dict[str, object] = {
        "model_type": kinds[shape.model_class],
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "tie_word_embeddings": shape.tied,
    }
    if shape.experts:
        config |= {"num_experts": shape.experts, "moe_intermediate_size": shape.intermediate}
        config |= {"shared_expert_intermediate_size": shape.shared_intermediate, "num_experts_per_tok": 8}
    else:
        config["intermediate_size"] = shape.intermediate
    if shape.shape is Shape.HYBRID:
        config["layer_types"] = (["linear_attention"] * 3 + ["full_attention"]) * (shape.layers // 4)
    return config
