"""What another agent is, as data: how it is installed, how it is started, and what it prints about its usage.

A definition is TOML or JSON. Its strings are templates (string.Template): ${task}, ${task_file}, ${base_url}, ${model},
${workdir}, ${turns}, ${seconds}, ${agent} (the folder that holds the program). Every argument is filled in by itself,
no shell reads it.
"""

import json
import re
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any

from pydantic import Field, ValidationError, field_validator

from qcode.errors import ConfigError
from qcode.messages import Frozen, Usage
from qcode_sandbox.debian import DEFAULT_SUITE, SUITES

FOLDER = "/opt/agent"
"""Where an agent's program lies in a box."""

_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}
_SHIPPED = "definitions"


class Install(Frozen):
    """How the program gets into FOLDER, once for all boxes: on a Debian suite of its own, whose Python goes with it, so
    that boxes of other systems can run it. `run` are further lines of shell, after the packages."""

    suite: str = DEFAULT_SUITE
    packages: tuple[str, ...] = ()
    """Debian's, for what the installation itself needs."""
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    run: tuple[str, ...] = ()

    @field_validator("suite")
    @classmethod
    def _known(cls, suite: str) -> str:
        if suite not in SUITES:
            raise ValueError(f"the suite is one of {', '.join(SUITES)}")
        return suite


class Printed(Frozen):
    """Patterns of a usage that the program prints, each with one group that is a number such as 2.5k; their sums count
    where the model's server told nothing."""

    prompt: str = ""
    completion: str = ""

    @field_validator("prompt", "completion")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        if pattern and re.compile(pattern).groups != 1:
            raise ValueError("a pattern has one group")
        return pattern

    def usage(self, output: str) -> Usage:
        """What the output adds up to."""
        return Usage(
            prompt_tokens=_sum(self.prompt, output), completion_tokens=_sum(self.completion, output), requests=0
        )


class Definition(Frozen):
    """One agent. `argv` runs in the work tree; `files` are written before it, `clean` are globs of the work tree that
    the program leaves and that are no part of its patch; `stdin` is what it reads."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    summary: str = ""
    install: Install | None = None
    argv: tuple[str, ...] = Field(min_length=1)
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    stdin: str = ""
    clean: tuple[str, ...] = ()
    usage: Printed = Printed()

    @field_validator("clean")
    @classmethod
    def _plain_globs(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for glob in globs:
            if not re.fullmatch(r"[A-Za-z0-9._*?/-]+", glob) or glob.startswith(("/", "-")) or ".." in glob:
                raise ValueError(f"{glob!r} is not a glob of the work tree")
        return globs


def filled(text: str, values: dict[str, str]) -> str:
    """A template with its values. Raises: ConfigError for a name that is none."""
    try:
        return Template(text).substitute(values)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"the agent's definition: {text[:60]!r} cannot be filled in: {error}") from None


def shipped() -> tuple[str, ...]:
    """Names of the definitions that come with qcode."""
    return tuple(
        sorted(found.name.removesuffix(".toml") for found in _folder().iterdir() if found.name != "__pycache__")
    )


def load_definition(name: str) -> Definition:
    """A definition by its name, or by the path of its file. Raises: ConfigError."""
    place: Path | Traversable = _folder() / f"{name}.toml" if name in shipped() else Path(name)
    if isinstance(place, Path) and not place.is_file():
        known = ", ".join(("gold", "empty", "qcode", *shipped()))
        raise ConfigError(f"no agent {name!r}: give one of {known}, or the file of a definition (TOML or JSON)")
    try:
        text = place.read_text(encoding="utf-8")
        value: Any = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
        return Definition.model_validate(value)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {name}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the definition"
        raise ConfigError(f"{name}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is not a definition: {error}") from None


def _folder() -> Traversable:
    return resources.files("qcode_evals.agents.command").joinpath(_SHIPPED)


def _sum(pattern: str, output: str) -> int:
    return sum(map(_number, re.findall(pattern, output))) if pattern else 0


def _number(text: str) -> int:
    found = re.fullmatch(r"([\d.,]*\d)\s*([km]?)", text.strip().lower())
    return round(float(found[1].replace(",", "")) * _FACTORS[found[2]]) if found else 0
