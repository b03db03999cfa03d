"""Arguments of a call that the server parsed: its JSON, which is the model's JSON, to a dict of the declared types."""

import json
import math
from typing import Any

from qcode.codec.loosejson import characters
from qcode.codec.schema import properties, typed, types_of
from qcode.codec.types import Function


class BadArguments(ValueError):
    """For the model: what is wrong with the JSON of its call."""


def decoded(raw: str | dict[str, Any]) -> dict[str, Any]:
    """The arguments as a dict. No text means none; a dict that was encoded twice is decoded twice.

    Raw line breaks inside strings are accepted, numbers that JSON has no word for (NaN, 1e999) become text.
    Raises: BadArguments.
    """
    value: Any = raw
    for _ in range(2):
        if not isinstance(value, str):
            break
        value = _loaded(value) if value.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadArguments(f"they are a JSON {_kind(value)}, not an object")
    return {characters(key): _with_whole_characters(item) for key, item in value.items()}


def as_declared(arguments: dict[str, Any], function: Function) -> dict[str, Any]:
    """The arguments, with text typed where the schema allows none: some servers pass every value as a string."""
    root = function.parameters
    declared = properties(root)

    def value_of(name: str, value: Any) -> Any:
        kinds = types_of(declared.get(name), root)
        if not isinstance(value, str) or not kinds or "string" in kinds:
            return value
        return typed(value, declared[name], root)

    return {name: value_of(name, value) for name, value in arguments.items()}


def _with_whole_characters(value: Any) -> Any:
    match value:
        case str():
            return characters(value)
        case dict():
            return {characters(key): _with_whole_characters(item) for key, item in value.items()}
        case list():
            return [_with_whole_characters(item) for item in value]
        case _:
            return value


def _loaded(text: str) -> Any:
    decoder = json.JSONDecoder(strict=False, parse_constant=str, parse_float=_float)
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        raise BadArguments(f"they are not valid JSON ({error.msg} at character {error.pos + 1})") from None
    except (ValueError, RecursionError):
        raise BadArguments("they are not valid JSON (a number or a nesting beyond reason)") from None


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _kind(value: Any) -> str:
    match value:
        case list():
            return "array"
        case bool():
            return "boolean"
        case str():
            return "string"
        case _:
            return "number"
