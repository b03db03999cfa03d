"""A configuration file: TOML in, values by dotted names out, each with the line it stands on."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qcode.config.settings import Key, Section, Settings, keys
from qcode.errors import ConfigError

_TABLE = re.compile(r"\s*\[\[?([^\[\]]+)\]\]?")
_ASSIGNMENT = re.compile(r"\s*([\w.\"'-][\w.\"' \t-]*)=")
_SECRETS = {"api_key", "key", "token"}


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says. `places` has where each value stands, for people."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


def read_layer(name: str, path: Path) -> Layer:
    """The layer of a file; an empty one if the file is not there. Raises: ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Layer(name)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    return parse_layer(name, path, text)


def parse_layer(name: str, path: Path, text: str) -> Layer:
    """The layer of a file's text. Raises: ConfigError with one line that names the line of the file."""
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and a number of over 4,300 digits
        what = "it nests too deep" if isinstance(error, RecursionError) else error
        raise ConfigError(f"{path} is not TOML: {what}") from None
    lines = _lines(text)

    def place(key: str) -> str:
        return f"{path}:{lines[key]}" if key in lines else str(path)

    values = flatten(found, place)
    layer = Layer(name, values, {key: place(key) for key in values})
    check(layer)
    return layer


def flatten(found: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """Nested tables to dotted names; lists become tuples. Raises: ConfigError for what is no setting."""
    known = keys()
    values: dict[str, Any] = {}
    for name, value in found.items():
        inner = Settings.model_fields.get(name)
        is_table = inner is not None and isinstance(inner.annotation, type) and issubclass(inner.annotation, Section)
        if is_table and not isinstance(value, dict):
            raise ConfigError(f"{place(name)}: {name} is a table: write [{name}] and its keys below it")
        for key, each in (
            {f"{name}.{part}": each for part, each in value.items()}.items() if is_table else [(name, value)]
        ):
            if key not in known:
                raise ConfigError(f"{place(key)}: {unknown(key, known)}")
            values[key] = tuple(each) if isinstance(each, list) else each
    return values


def unknown(key: str, known: Iterable[str]) -> str:
    """What to say of a key that is none."""
    if key.rpartition(".")[2] in _SECRETS:
        return f"{key} is no setting: keys are not kept in files; set $QCODE_API_KEY"
    by_last = {name.rpartition(".")[2]: name for name in known} | {name: name for name in known}
    near = nearest(key, by_last) or nearest(key.rpartition(".")[2], by_last)
    if near:
        return f"{key} is no setting: did you mean {by_last[near]}?"
    table = nearest(key.partition(".")[0], {name.rpartition(".")[0] for name in known} - {""})
    return f"{key} is no setting" + (f": did you mean [{table}]?" if table else "; `qcode config list` shows all")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant; letters in the wrong order count least."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return next((each for each in near if sorted(each) == sorted(word)), near[0] if near else None)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names to nested tables."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        (tree.setdefault(table, {}) if table else tree)[name] = value
    return tree


def check(layer: Layer) -> None:
    """Types and bounds of a layer's values. Raises: ConfigError with one line about the first that is wrong."""
    try:
        Settings.model_validate(nested(layer.values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = _key_of(first["loc"])
        where = f"{layer.places[key.name]}: " if key.name in layer.places else ""
        raise ConfigError(f"{where}{_wrong(key, str(first['type']), str(first['msg']), first['input'])}") from None


def _key_of(loc: tuple[int | str, ...]) -> Key:
    known = keys()
    return known.get(".".join(map(str, loc[:2]))) or known[str(loc[0])]


def _wrong(key: Key, kind: str, message: str, given: object) -> str:
    shown = f'"{given}"' if isinstance(given, str) else str(given).lower() if isinstance(given, bool) else repr(given)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    if kind.endswith("_type") or kind in {"literal_error", "int_from_float"}:
        near = nearest(str(given), key.choices)
        return f"{key.name} must be {key.expects}, not {shown}" + (f": did you mean {near}?" if near else "")
    if kind == "string_pattern_mismatch":
        return f"{key.name} must begin with http:// or https://, not {shown}"
    message = message.removeprefix("Input should ").removeprefix("String should ")
    return f"{key.name} must {message}, not {shown}"


def _lines(text: str) -> dict[str, int]:
    """Where each key stands; a first guess that reads no strings of several lines."""
    table = ""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.fullmatch(line.partition("#")[0].rstrip()):
            table = _bare(header[1])
            found.setdefault(table, number)
            found.setdefault(table.partition(".")[0], number)
        elif assignment := _ASSIGNMENT.match(line):
            name = _bare(assignment[1])
            found.setdefault(f"{table}.{name}" if table else name, number)
    return found


def _bare(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
