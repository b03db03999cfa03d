"""Doctor against a real vLLM that serves a real model: healthy, and with the settings that users get wrong."""

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qcode.backends.openai_compat import OpenAIBackend
from qcode.doctor.battery import Wishes, examine
from qcode.doctor.patient import ServerPatient
from qcode.doctor.result import Result, Verdict
from qcode.models.registry import find

pytestmark = pytest.mark.serving

ROOT = Path(__file__).resolve().parents[2]
# Before the test's own environment, which has no QCODE_*.
PYTHON = Path(os.environ.get("QCODE_VLLM_PYTHON") or ROOT / "build/vllm-env/bin/python")
NAME = "qwen2.5-coder-0.5b"
READY_S = 900.0
QUIET = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


@pytest.fixture(scope="module")
def checkpoint(small_model: Path) -> Path:
    """The small model as vLLM takes it, made once."""
    folder = ROOT / "build" / "checkpoint-0.5b"
    if not (folder / "tokenizer_config.json").exists():
        script = ROOT / "benchmarks" / "checkpoint.py"
        subprocess.run([PYTHON, "-P", script, small_model, folder], check=True, cwd="/")
    return folder


@contextmanager
def vllm(checkpoint: Path, folder: Path, port: int, *flags: str) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    command = [PYTHON, "-P", "-m", "vllm.entrypoints.openai.api_server", "--model", checkpoint, "--port", str(port),
               "--host", "127.0.0.1", "--served-model-name", NAME, "--enforce-eager", "--max-model-len", "20480",
               *flags]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **QUIET}, stdout=log, stderr=log)
    try:
        begun = time.monotonic()
        while True:
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-3000:]
            assert time.monotonic() - begun < READY_S
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    break
            except OSError:
                time.sleep(1)
        yield f"{url}/v1"
    finally:
        process.terminate()
        process.wait(60)


async def diagnose(url: str, *only: str) -> dict[str, Result]:
    backend = OpenAIBackend(url, NAME)
    try:
        patient = ServerPatient(backend, find(NAME))
        wishes = Wishes(NAME, only, long_tokens=2000) if only else Wishes(NAME, long_tokens=2000)
        return {item.check: item async for item in examine(patient, wishes) if isinstance(item, Result)}
    finally:
        await backend.aclose()


async def test_a_healthy_vllm_passes(checkpoint: Path, tmp_path: Path) -> None:
    right = ("--enable-auto-tool-choice", "--tool-call-parser", "qwen3_coder", "--enable-prompt-tokens-details")
    with vllm(checkpoint, tmp_path, 18200, *right) as url:
        results = await diagnose(url)
    failed = {name: result.detail for name, result in results.items() if result.verdict is Verdict.FAIL}
    assert failed == {}
    sure = ("model", "window", "streaming", "messages", "prefix cache", "cancelling", "first token")
    assert {results[name].verdict for name in sure} == {Verdict.PASS}


async def test_wrong_settings_of_vllm_are_named(checkpoint: Path, tmp_path: Path) -> None:
    wrong = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--no-enable-prefix-caching")
    with vllm(checkpoint, tmp_path, 18201, *wrong, "--enable-prompt-tokens-details") as url:
        results = await diagnose(url, "call", "cache")
    assert results["call, whole"].verdict is Verdict.FAIL
    assert "--tool-call-parser qwen3_coder" in results["call, whole"].fix
    assert results["prefix cache"].verdict is Verdict.FAIL
    assert "--enable-prefix-caching" in results["prefix cache"].fix
