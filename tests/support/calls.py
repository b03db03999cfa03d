"""What a scripted model writes, and what the tests ask git."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Qcode = Callable[..., subprocess.CompletedProcess[str]]


def call(name: str, **arguments: object) -> str:
    """A tool call as a model writes it."""
    values = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{values}</function>\n</tool_call>"


def edit(path: str, old: str, new: str) -> str:
    return call("str_replace_editor", command="str_replace", path=path, old_str=old, new_str=new)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout
