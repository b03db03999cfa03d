"""What a scripted model writes, what the tests ask git, and how they follow a run."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Qcode = Callable[..., subprocess.CompletedProcess[str]]


def call(name: str, **arguments: object) -> str:
    """A tool call as a model writes it."""
    values = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{values}</function>\n</tool_call>"


def edit(path: str, old: str, new: str) -> str:
    return call("str_replace_editor", command="str_replace", path=path, old_str=old, new_str=new)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def wait_for(process: subprocess.Popen[str], event: str, times: int = 1) -> None:
    """Read the run's events up to this one."""
    assert process.stdout is not None
    for line in process.stdout:
        times -= json.loads(line).get("event") == event
        if times == 0:
            return
    pytest.fail(f"no {event}: {process.stderr.read() if process.stderr else ''}")
