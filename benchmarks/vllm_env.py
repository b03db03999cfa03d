"""Talks to vLLM's parser in the environment of its own that `make vllm-env` builds."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / "build" / "vllm-env"
TOKENIZER = ROOT / "build" / "qwen-tokenizer"
CHILD = Path(__file__).with_name("vllm_child.py")


def is_there() -> bool:
    """Whether `make vllm-env` has been run."""
    return (ENVIRONMENT / "ready").is_file()


def ask(mode: str, request: dict[str, Any]) -> Any:
    """What the child answers; the tokenizer of the small model is made when it is asked for first."""
    if not (TOKENIZER / "tokenizer.json").is_file():
        from qcode.models.store import resolve

        _run(["tokenizer", str(resolve("qwen2.5-coder-0.5b").path), str(TOKENIZER)], None)
    return json.loads(_run([mode, str(TOKENIZER)], json.dumps(request)))


def _run(arguments: list[str], stdin: str | None) -> str:
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(ENVIRONMENT / "bin" / "python"), "-P", str(CHILD), *arguments],
            input=stdin, capture_output=True, text=True, cwd=folder, env=offline, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"vLLM's parser failed:\n{done.stderr[-2000:]}")
    return done.stdout
