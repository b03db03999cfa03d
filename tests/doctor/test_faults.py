"""Doctor against llama.cpp's own server with a real model: healthy, and with each of its faults planted."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from calls import Qcode
from fault_proxy import SLOW_S, FaultProxy
from llama_server import TEMPLATE, llama_server

from qcode.backends.openai_compat import OpenAIBackend
from qcode.doctor.battery import Wishes, examine
from qcode.doctor.patient import ServerPatient
from qcode.doctor.prompting import SLOW_FIRST_S
from qcode.doctor.result import Result, Verdict
from qcode.models.registry import recognise

pytestmark = pytest.mark.model

Diagnose = Callable[..., Awaitable[dict[str, Result]]]
DEAF_TO_TOOLS = TEMPLATE.replace("loop.first and tools", "false")
STRICT = TEMPLATE.replace(
    "{%- for message in messages %}",
    "{%- for message in messages %}{%- if message.role == 'tool' %}"
    "{{ raise_exception('System message must be at the beginning.') }}{%- endif %}",
    1,
)


@pytest.fixture(scope="module")
def healthy(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with llama_server(small_model, tmp_path_factory.mktemp("healthy")) as url:
        yield url


@pytest.fixture(scope="module")
def misconfigured(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small window, no parser of calls, and the name of a larger model."""
    folder = tmp_path_factory.mktemp("misconfigured")
    options = {"context": 4096, "parses": False, "alias": "Qwen/Qwen3-Coder-30B-A3B-Instruct"}
    with llama_server(small_model, folder, **options) as url:
        yield url


async def diagnose(url: str, *only: str, asked: str | None = None, long_tokens: int = 350) -> dict[str, Result]:
    backend = OpenAIBackend(url, asked)
    try:
        patient = ServerPatient(backend, recognise(asked) if asked else None)
        wishes = Wishes(asked, only, long_tokens=long_tokens)
        return {item.check: item async for item in examine(patient, wishes) if isinstance(item, Result)}
    finally:
        await backend.aclose()


def blamed(results: dict[str, Result]) -> dict[str, str]:
    """The failures, with what to change."""
    return {name: result.fix for name, result in results.items() if result.verdict is Verdict.FAIL}


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}


def test_a_healthy_server_passes_and_the_command_says_so(healthy: str, qcode: Qcode) -> None:
    done = qcode("doctor", "--base-url", healthy, "--json", "--only", "model,window,streaming,call,typed,first,cancel")
    assert done.returncode == 0, done.stdout
    assert verdicts(done) == dict.fromkeys(
        ("model", "window", "streaming", "speed", "call, streamed", "call, whole", "typed arguments", "first token",
         "cancelling"), "pass"
    )  # fmt: skip


@pytest.mark.serving
def test_a_healthy_server_passes_all_checks(healthy: str, qcode: Qcode) -> None:
    done = qcode("doctor", "--base-url", healthy, "--json")
    assert done.returncode == 0, done.stdout
    found = verdicts(done)
    # What a model of this size says of a long text is its own affair, and no failure of the server's.
    assert found.pop("long prompt") in {"pass", "weak"}
    assert found.pop("call after thinking") == "skip"
    assert set(found.values()) == {"pass"}
    assert len(found) == 12


async def test_a_small_window_is_found(misconfigured: str) -> None:
    (found,) = (await diagnose(misconfigured, "window")).values()
    assert found.verdict is Verdict.FAIL
    assert found.detail.startswith("4096 tokens")
    assert "llama-server with -c 32768" in found.fix


async def test_a_wrong_parser_is_found_and_told_apart_from_the_model(misconfigured: str) -> None:
    found = blamed(await diagnose(misconfigured, "call"))
    assert found.keys() == {"call, streamed", "call, whole"}
    assert "--jinja" in found["call, whole"]


@pytest.mark.serving
async def test_a_parser_that_swallows_is_found(misconfigured: str) -> None:
    async with FaultProxy(misconfigured, "swallow") as url:
        results = await diagnose(url, "call")
    assert "swallowed" in results["call, streamed"].detail
    assert results["call, streamed"].verdict is Verdict.FAIL


async def test_a_wrong_model_is_found_by_its_size_and_by_its_name(misconfigured: str, healthy: str) -> None:
    (lying,) = (await diagnose(misconfigured, "model", asked="Qwen/Qwen3-Coder-30B-A3B-Instruct")).values()
    assert lying.verdict is Verdict.FAIL
    assert "has 30B parameters, but what is served has 0.63B" in lying.detail
    (other,) = (await diagnose(healthy, "model", asked="qwen3-32b")).values()
    assert other.verdict is Verdict.FAIL
    assert "asked for qwen3-32b, but it serves" in other.detail
    assert "llama-server with -m" in other.fix


async def test_a_proxy_that_cuts_is_found(healthy: str) -> None:
    async with FaultProxy(healthy, "truncate") as url:
        (found,) = (await diagnose(url, "long")).values()
    assert found.verdict is Verdict.FAIL
    assert found.figures["read"] < 0.7 * found.figures["expected"]
    assert "cut without a word" in found.detail


@pytest.mark.parametrize(
    ("fault", "words"),
    [pytest.param("hold", "held back", marks=pytest.mark.serving), ("whole", "only in one piece")],
)
async def test_answers_that_do_not_stream_are_found(healthy: str, fault: str, words: str) -> None:
    async with FaultProxy(healthy, fault) as url:
        results = await diagnose(url, "streaming", "call")
    assert results["streaming"].verdict is Verdict.FAIL
    assert words in results["streaming"].detail
    assert "proxy_buffering off" in results["streaming"].fix
    assert results["call, whole"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("template", "words"), [(DEAF_TO_TOOLS, "the tools: not in the prompt"), (STRICT, "answered 500")]
)
async def test_a_broken_template_is_found(small_model: Path, tmp_path: Path, template: str, words: str) -> None:
    with llama_server(small_model, tmp_path, template=template, context=2048) as url:
        (found,) = (await diagnose(url, "messages")).values()
    assert found.verdict is Verdict.FAIL
    assert words in found.detail
    assert "without --chat-template" in found.fix


async def test_a_missing_prefix_cache_is_found(healthy: str) -> None:
    async with FaultProxy(healthy, "forget") as url:
        (found,) = (await diagnose(url, "cache")).values()
    assert found.verdict is Verdict.FAIL
    assert found.figures["cached"] == 0
    assert "--no-cache-prompt" in found.fix


async def test_a_slow_first_token_is_found_with_its_place(healthy: str) -> None:
    assert SLOW_S > SLOW_FIRST_S
    async with FaultProxy(healthy, "slow") as url:
        (found,) = (await diagnose(url, "first")).values()
    assert found.verdict is Verdict.FAIL
    assert "something in between waits" in found.detail


@pytest.mark.serving
async def test_a_proxy_that_does_not_pass_on_a_hang_up_is_found(healthy: str) -> None:
    async with FaultProxy(healthy, "deaf") as url:
        (found,) = (await diagnose(url, "cancel")).values()
    assert found.verdict is Verdict.FAIL
    assert "still writing" in found.detail


def test_nothing_that_answers_has_an_exit_code_of_its_own(qcode: Qcode) -> None:
    done = qcode("doctor", "--base-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 4
    assert "Nothing answers at http://127.0.0.1:9/v1" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_check_is_a_usage_error(qcode: Qcode) -> None:
    done = qcode("doctor", "--base-url", "http://127.0.0.1:9/v1", "--only", "calls")
    assert done.returncode == 2
    assert "calls: model, window" in done.stderr


async def test_the_failure_is_shown_with_what_to_change(misconfigured: str, qcode: Qcode) -> None:
    done = await asyncio.to_thread(qcode, "doctor", "--base-url", misconfigured, "--only", "window")
    assert done.returncode == 1
    assert "✗ window" in done.stdout
    assert "→ start llama-server with -c 32768" in done.stdout
    assert "\x1b" not in done.stdout
