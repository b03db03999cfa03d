"""What is chosen for a machine, and the arithmetic that it rests on."""

import json
from pathlib import Path

import pytest

from qcode.errors import ConfigError
from qcode.models.parameters import parameters, state_bytes
from qcode.models.registry import find, load_registry
from qcode.serving.command import dialect_of, launches
from qcode.serving.footprint import weight_bytes
from qcode.serving.hardware import GIB, Machine, described
from qcode.serving.plan import Plan, Wish
from qcode.serving.planning import make_plan
from qcode.serving.profiles import EngineName, Layout

VLLM, SGLANG, LLAMA = EngineName.VLLM, EngineName.SGLANG, EngineName.LLAMA
# Parameters as the hubs count them in the published safetensors.
PUBLISHED = {
    "qwen3-coder-480b-a35b": 480_154_875_392,
    "qwen3-coder-30b-a3b": 30_532_122_624,
    "qwen3-coder-next": 79_674_391_296,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-32b": 32_762_123_264,
    "qwen3-8b": 8_190_735_360,
    "qwen3-4b": 4_022_468_096,
    "qwen2.5-coder-1.5b": 1_543_714_304,
    "qwen2.5-coder-0.5b": 494_032_768,
}


def planned(model: str, machine: str | Machine, **wish: object) -> Plan:
    where = described(machine) if isinstance(machine, str) else machine
    return make_plan(Wish(card=find(model), **wish), where)  # type: ignore[arg-type]


def flags(plan: Plan) -> dict[str, str | None]:
    return {reason.name: reason.value for reason in launches(plan)[-1].reasons}


@pytest.mark.parametrize(("model", "count"), PUBLISHED.items())
def test_parameters_are_those_of_the_published_weights(model: str, count: int) -> None:
    assert parameters(find(model).architecture).total == count


def test_a_quantised_file_is_as_large_as_its_parameters_say() -> None:
    for card in load_registry():
        bits = card.gguf.bytes * 8 / parameters(card.architecture).total
        low, high = (8.3, 8.8) if card.gguf.quantization == "Q8_0" else (4.6, 8.0)
        # llama.cpp keeps the embedding of small models a second time.
        assert low < bits < high, (card.name, bits)


def test_the_cache_of_a_hybrid_is_a_quarter() -> None:
    # 12 of 48 layers x keys and values x 2 heads x 256 wide x 2 bytes.
    card = find("qwen3-coder-next")
    assert card.architecture.kv_bytes_per_token == 12 * 2 * 2 * 256 * 2
    assert 60 * 2**20 < state_bytes(card.architecture) < 80 * 2**20
    assert state_bytes(find("qwen3-235b-a22b").architecture) == 0


def test_the_memory_of_a_gpu_adds_up() -> None:
    plan = planned("qwen3-235b-a22b-instruct-2507", "8x80", engine=VLLM)
    budget = plan.budget
    assert budget.usable == int(80 * GIB * 0.9)
    assert budget.weights == pytest.approx(235.09e9 * 2 / 8, rel=0.001)
    # 4 heads on 8 GPUs: each GPU keeps one.
    assert budget.per_token == 94 * 2 * 1 * 128 * 2
    assert budget.tokens == (budget.usable - budget.weights - budget.overhead) // budget.per_token
    assert plan.context == 262_144


def test_expert_and_data_parallelism_as_on_the_card_where_it_fits_and_tensors_where_not() -> None:
    card = planned("qwen3-coder-480b-a35b", "8x141")
    assert (card.engine, card.layout, card.data, card.tensor) == (VLLM, Layout.EXPERT_DATA, 8, 1)
    assert 200_000 < card.context < 262_144
    assert any("the window is cut from 262,144" in note for note in card.notes)
    smaller = planned("qwen3-coder-480b-a35b", "8x80")
    assert (smaller.layout, smaller.tensor, smaller.context) == (Layout.TENSOR_EXPERT, 8, 262_144)
    assert any("would leave room for 2,230 tokens only" in note for note in smaller.notes)


def test_fp8_and_more_gpus_where_sixteen_bits_do_not_fit() -> None:
    assert planned("qwen3-coder-next", "2x80", engine=VLLM).weights.quantization == "fp8"
    both = planned("qwen3-coder-next", "4x80", engine=VLLM)
    assert (both.weights.quantization, both.tensor) == ("bf16", 4)
    # Blocks of 128 of 768 wide experts cannot be cut in 4: whole experts are shared out.
    cut = planned("qwen3-coder-30b-a3b", "4x24", engine=VLLM, quantization="fp8")
    assert cut.layout in {Layout.TENSOR, Layout.TENSOR_EXPERT}
    assert cut.tensor <= 2 or cut.layout is Layout.TENSOR_EXPERT


def test_what_other_programs_hold_is_left_to_them() -> None:
    machine = described("1x80")
    [gpu] = machine.gpus
    busy = machine.model_copy(update={"gpus": (gpu.model_copy(update={"free": 40 * GIB}),)})
    plan = planned("qwen3-8b", busy, engine=VLLM)
    assert plan.utilisation == 0.49
    assert flags(plan)["--gpu-memory-utilization"] == "0.49"


def test_only_as_many_gpus_as_are_needed() -> None:
    assert flags(planned("qwen3-8b", "8x80", engine=VLLM))["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_model_that_fits_no_gpu_goes_to_llama_cpp() -> None:
    plan = planned("qwen3-coder-next", "1x24")
    assert (plan.engine, plan.weights.quantization) == (LLAMA, "gguf")
    with pytest.raises(ConfigError, match=r"does not fit: .* try --engine llama-server"):
        planned("qwen3-coder-next", "1x24", engine=VLLM)


def test_yarn_beyond_the_native_window() -> None:
    plan = planned("qwen3-8b", "2x80", engine=VLLM, context=131_072)
    override = json.loads(flags(plan)["--hf-overrides"] or "")
    assert override == {
        "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32768,
        }
    }  # fmt: skip
    assert flags(plan)["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] == "1"
    assert flags(plan)["--max-model-len"] == "131072"
    llama = flags(planned("qwen3-8b", "2x80", engine=LLAMA, context=65_536))
    assert (llama["--rope-scaling"], llama["--rope-scale"], llama["--yarn-orig-ctx"]) == ("yarn", "2.0", "32768")
    assert "--json-model-override-args" in flags(planned("qwen3-8b", "2x80", engine=SGLANG, context=65_536))
    million = planned("qwen3-coder-480b-a35b", "8x192", engine=VLLM, context=1_000_000)
    assert (million.context, million.factor) == (1_000_000, 4)
    assert "--hf-overrides" not in flags(planned("qwen3-8b", "1x80", engine=VLLM))
    with pytest.raises(ConfigError, match="reaches 32768 tokens and has no YaRN setting"):
        planned("qwen3-4b", "1x80", context=65_536)


def test_speculation() -> None:
    mtp = flags(planned("qwen3-next-80b-a3b-instruct", "4x80", engine=VLLM))
    assert json.loads(mtp["--speculative-config"] or "") == {"method": "qwen3_next_mtp", "num_speculative_tokens": 2}
    assert "--speculative-config" not in flags(planned("qwen3-coder-30b-a3b", "2x80", engine=VLLM))
    ngram = flags(planned("qwen3-coder-30b-a3b", "2x80", engine=VLLM, speculation="ngram"))
    assert json.loads(ngram["--speculative-config"] or "")["method"] == "ngram"
    assert flags(planned("qwen2.5-coder-1.5b", "0,16"))["--spec-type"] == "ngram-simple"
    with pytest.raises(ConfigError, match="no multi-token prediction"):
        planned("qwen3-coder-30b-a3b", "2x80", speculation="mtp")


def test_parsers_and_thinking() -> None:
    for model, engine, parser, thinking in [
        ("qwen3-coder-30b-a3b", VLLM, "qwen3_coder", None),
        ("qwen3-8b", VLLM, "hermes", "qwen3"),
        ("qwen3-8b", SGLANG, "qwen25", "qwen3"),
        ("qwen3-next-80b-a3b-thinking", VLLM, "hermes", "deepseek_r1"),
        ("qwen3-235b-a22b-instruct-2507", VLLM, "hermes", None),
    ]:
        found = flags(planned(model, "8x141", engine=engine))
        assert (found["--tool-call-parser"], found.get("--reasoning-parser")) == (parser, thinking), model


def test_calls_are_read_in_the_form_of_the_servers_parser() -> None:
    """The parser is that of the template that comes with the weights."""
    assert dialect_of(planned("qwen3-coder-next", "8x141", engine=VLLM)) == "qwen3_coder"
    assert dialect_of(planned("qwen3-8b", "1x80", engine=VLLM)) == "hermes"
    small = planned("qwen2.5-coder-1.5b", "1x80", engine=VLLM)
    assert (flags(small)["--tool-call-parser"], dialect_of(small)) == ("hermes", "hermes")
    own = planned("qwen2.5-coder-1.5b", "1x80", engine=VLLM, extra=("--tool-call-parser", "qwen3_coder"))
    assert dialect_of(own) == "qwen3_coder"
    assert dialect_of(planned("qwen2.5-coder-1.5b", "1x80", engine=SGLANG)) == "hermes"
    assert dialect_of(planned("qwen3-8b", "1x80", engine=LLAMA)) == "hermes"


def test_modelscope_is_a_variable_of_the_engine() -> None:
    assert flags(planned("qwen3-8b", "1x80", engine=VLLM, hub="modelscope"))["VLLM_USE_MODELSCOPE"] == "True"
    assert "VLLM_USE_MODELSCOPE" not in flags(planned("qwen3-8b", "1x80", engine=VLLM))


def test_several_machines() -> None:
    ray = launches(planned("qwen3-coder-480b-a35b", "8x80", engine=VLLM, nodes=2, quantization="bf16", head="10.0.0.1"))
    assert [launch.argv[:3] for launch in ray[:2]] == [
        ("ray", "start", "--head"),
        ("ray", "start", "--address=10.0.0.1:6379"),
    ]
    assert [launch.here for launch in ray] == [True, False, True]
    words = ray[2].text
    assert "--tensor-parallel-size 8 --pipeline-parallel-size 2 --distributed-executor-backend ray" in words
    own = launches(
        planned(
            "qwen3-coder-480b-a35b", "8x80", engine=VLLM, nodes=2, quantization="bf16", head="10.0.0.1", cluster="own"
        )
    )
    assert [launch.here for launch in own] == [True, False]
    assert "--nnodes 2 --node-rank 1 --master-addr 10.0.0.1" in own[1].text
    assert "--headless" in own[1].argv
    assert "--headless" not in own[0].argv
    data = launches(planned("qwen3-coder-480b-a35b", "8x141", engine=VLLM, nodes=2, head="10.0.0.1", cluster="own"))
    assert "--data-parallel-size 16" in data[1].text
    assert "--data-parallel-size-local 8 --data-parallel-start-rank 8 --data-parallel-address 10.0.0.1" in data[1].text
    sglang = launches(planned("qwen3-235b-a22b", "8x80", engine=SGLANG, nodes=2, head="10.0.0.1"))
    assert "--tp-size 16 --nnodes 2 --node-rank 1 --dist-init-addr 10.0.0.1:20000" in sglang[1].text


def test_replicas_behind_a_router() -> None:
    *servers, router = launches(planned("qwen3-coder-30b-a3b", "8x141", engine=VLLM, replicas=4))
    assert [server.environment["CUDA_VISIBLE_DEVICES"] for server in servers] == ["0", "1", "2", "3"]
    assert [server.port for server in servers] == [8001, 8002, 8003, 8004]
    assert Path(router.argv[0]).name == "vllm-router"
    assert "--policy sticky_least_loaded" in router.text
    assert router.text.endswith("http://127.0.0.1:8003 http://127.0.0.1:8004")
    with pytest.raises(ConfigError, match="--replicas needs"):
        planned("qwen3-coder-30b-a3b", "8x141", engine=SGLANG, replicas=2)


def test_weights_on_this_disk_are_measured(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    config = {"architectures": ["Qwen3MoeForCausalLM"], "num_hidden_layers": 2, "hidden_size": 128, "num_experts": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    plan = planned("qwen3-coder-480b-a35b", Machine(ram=8 * GIB, cpus=2), engine=VLLM, folder=tmp_path, context=32_768)
    assert (plan.weights.bytes, plan.weights.shape.layers, plan.weights.shape.experts) == (1000, 2, 8)
    found = flags(plan)
    assert found["--served-model-name"] == "qwen3-coder-480b-a35b"
    assert found["HF_HUB_OFFLINE"] == "1"
    assert "--enforce-eager" in found
    assert found["--block-size"] == "32", "what is known of a prompt is read again but for whole blocks"
    with pytest.raises(ConfigError, match="is a Qwen3MoeForCausalLM, and Qwen3-Coder-Next is a Qwen3NextForCausalLM"):
        planned("qwen3-coder-next", "0,16", engine=VLLM, folder=tmp_path)
    with pytest.raises(ConfigError, match="is no model folder"):
        planned("qwen3-coder-next", "0,16", engine=VLLM, folder=tmp_path / "none")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("[" * 100_000, "is no model folder"),
        ("5", "is not a model's configuration"),
        ('{"architectures": 5}', "is a 5, and Qwen3-Coder-Next is a"),
        ('{"architectures": {"a": 1}}', "and Qwen3-Coder-Next is a"),
    ],
)
def test_a_configuration_of_a_model_that_is_none(config: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ConfigError, match=says):
        planned("qwen3-coder-next", "0,16", engine=VLLM, folder=tmp_path)


@pytest.mark.parametrize("odd", [{"layer_types": 5}, {"full_attention_interval": "4"}, {"full_attention_interval": -1}])
def test_what_a_configuration_says_oddly_is_as_if_it_said_nothing(odd: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 8} | odd))
    plan = planned("qwen3-coder-next", "8x141", engine=VLLM, folder=tmp_path)
    assert plan.weights.shape.attention_layers == 2


def test_on_few_processors_vllm_leaves_none_to_a_scheduler_that_only_waits(tmp_path: Path) -> None:
    config = {"architectures": ["Qwen2ForCausalLM"], "num_hidden_layers": 28, "hidden_size": 1536}
    config |= {"num_attention_heads": 12, "num_key_value_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))

    def on(cpus: int, ram: int = 64, **wish: object) -> dict[str, str | None]:
        machine = Machine(ram=ram * GIB, cpus=cpus)
        return flags(planned("qwen2.5-coder-1.5b", machine, engine=VLLM, folder=tmp_path, context=16_384, **wish))

    few = on(2)
    assert (few["--distributed-executor-backend"], few["OMP_NUM_THREADS"]) == ("uni", "2")
    assert "OMP_NUM_THREADS" not in on(32)
    assert "OMP_NUM_THREADS" not in on(2, replicas=2)
    assert few["VLLM_CPU_KVCACHE_SPACE"] == "4", "eight windows of 16,384 tokens, 28 KiB each"
    assert int(on(2, ram=8)["VLLM_CPU_KVCACHE_SPACE"] or 0) == 1, "half of what is left beside the weights"


def test_every_model_has_a_plan_on_every_engine_where_there_is_room() -> None:
    for card in load_registry():
        for engine in EngineName:
            plan = planned(card.name, "8x192", engine=engine)
            assert plan.context >= 32_768, (card.name, engine)
            assert weight_bytes(card.architecture, "bf16") > weight_bytes(card.architecture, "fp8")
