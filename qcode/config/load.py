"""The settings of a session, from their layers: defaults < user < project < environment < flags."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcode.config.paths import config_dir
from qcode.config.project import PROJECT_CONFIG
from qcode.config.refusals import refusal
from qcode.config.settings import Key, Settings, keys
from qcode.config.toml import Layer, check, nearest, nested, parse_layer, read_layer, unknown
from qcode.config.trust import Folder
from qcode.errors import ConfigError

DEFAULT, USER, PROJECT, ENVIRONMENT, FLAGS = "default", "user", "project", "environment", "flags"

OTHER_VARIABLES = {
    "QCODE_API_KEY": "The key of the server at `base_url`; it is never kept in a file.",
    "QCODE_MODELS_DIR": "Where model files are kept, such as a folder that several users share.",
    "QCODE_PORTS": "Ports where servers are looked for on this machine, with commas between them; empty is nowhere.",
    "QCODE_SERVER_LINGER": "Seconds that a server of qcode's own stays after its last session.",
    "QCODE_VLLM_PYTHON": "The interpreter of the environment that has vLLM.",
    "QCODE_SGLANG_PYTHON": "The interpreter of the environment that has SGLang.",
}
"""Variables that are no settings, for the documentation."""

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Said:
    """That a layer has a value for a key; `place` is a file and line, a variable, or "" ."""

    layer: str
    place: str
    value: Any


@dataclass(frozen=True, slots=True)
class Loaded:
    """`layers` from the weakest to the strongest; `notices` are lines for the user."""

    settings: Settings
    layers: tuple[Layer, ...]
    notices: tuple[str, ...] = ()

    def said(self, key: str) -> list[Said]:
        """What the layers say of a key, the strongest first."""
        return [
            Said(layer.name, layer.places.get(key, ""), layer.values[key])
            for layer in reversed(self.layers)
            if key in layer.values
        ]

    def value(self, key: str) -> Any:
        """What counts. `key` is dotted and known."""
        found: Any = self.settings
        for part in key.split("."):
            found = getattr(found, part)
        return found


def user_file() -> Path:
    """The user's own configuration."""
    return config_dir() / "config.toml"


def load(
    folder: Folder | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Read and merge all layers. `flags` has dotted names; None there was not given.

    Raises: ConfigError with one line that names the place.
    """
    notices: list[str] = []
    layers = [Layer(DEFAULT, {name: key.default for name, key in keys().items()}), read_layer(USER, user_file())]
    if folder is not None and (text := folder.read(PROJECT_CONFIG)) is not None:
        project = parse_layer(PROJECT, folder.root / PROJECT_CONFIG, text)
        layers.append(_allowed(project, _merged(layers), notices))
    layers.append(_environment(os.environ if environment is None else environment, notices))
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    layers.append(Layer(FLAGS, given, {key: "--" + key.rpartition(".")[2].replace("_", "-") for key in given}))
    check(layers[-1])
    merged = _merged(layers)
    _settle_rivals(merged, layers)
    return Loaded(Settings.model_validate(nested(merged)), tuple(layers), tuple(notices))


def known_key(name: str) -> Key:
    """The setting of that name. Raises: ConfigError with a suggestion."""
    found = keys()
    if name not in found:
        raise ConfigError(unknown(name, found))
    return found[name]


def from_text(key: Key, text: str) -> Any:
    """The value that a word of the environment or the command line means; text that cannot be one stays text, and is
    then refused by its type. Raises: ConfigError for a list that is not TOML."""
    kind = key.kinds[0]
    if kind is bool:
        return _WORDS.get(text.casefold(), text)
    if kind in {int, float}:
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            return text
    if kind is not tuple:
        return text
    if not text.lstrip().startswith("["):
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    try:
        return tuple(tomllib.loads(f"list = {text}")["list"])
    except (ValueError, RecursionError) as error:
        what = "it nests too deep" if isinstance(error, RecursionError) else error
        raise ConfigError(f"{key.name}: {text[:80]!r} is not a list as TOML has it: {what}") from None


def _merged(layers: list[Layer]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    known = keys()
    for layer in layers:
        for key, value in layer.values.items():
            if key not in merged or not known[key].adds_up:
                merged[key] = value
            elif isinstance(value, tuple):
                merged[key] = tuple(dict.fromkeys((*merged[key], *value)))
            else:
                merged[key] = {**merged[key], **value}
    return merged


def _allowed(project: Layer, below: Mapping[str, Any], notices: list[str]) -> Layer:
    kept = {}
    for key, value in project.values.items():
        if reason := refusal(key, value, below):
            notices.append(f"{project.places[key]}: {key} is passed over: {reason}")
        else:
            kept[key] = value
    return Layer(PROJECT, kept, project.places)


def _environment(variables: Mapping[str, str], notices: list[str]) -> Layer:
    known = {key.variable: key for key in keys().values() if key.variable}
    values = {key.name: from_text(key, variables[name]) for name, key in known.items() if variables.get(name)}
    layer = Layer(ENVIRONMENT, values, {key.name: f"${name}" for name, key in known.items()})
    check(layer)
    names = [*known, *OTHER_VARIABLES]
    strange = [name for name in variables if name.startswith("QCODE_") and name not in names]
    meant = {name: near for name in strange if (near := nearest(name, names))}
    notices.extend(f"${name} sets nothing: did you mean ${near}?" for name, near in meant.items())
    return layer


def _settle_rivals(merged: dict[str, Any], layers: list[Layer]) -> None:
    """`base_url` names a server, `engine` starts one: the stronger layer's counts. A model that is named on the command
    line means one of this machine, unless a server is named there too. Raises: ConfigError."""

    def strength(key: str) -> int:
        return max(number for number, layer in enumerate(layers) if key in layer.values)

    url, engine = strength("base_url"), strength("engine")
    if merged["base_url"] is not None and merged["engine"] is not None:
        if url == engine:
            raise ConfigError("--engine starts a server and --base-url names one that runs: give one of them")
        merged["engine" if url > engine else "base_url"] = None
    flags = layers[-1].values
    if merged["base_url"] is not None and "model" in flags and "base_url" not in flags:
        merged["base_url"] = None
