"""Tools in one form, and the typing of arguments by a tool's JSON schema (rules T1 to T8)."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from qcode.codec.types import Function, Tool

_ALIASES = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "uint": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "dict": "object",
    "map": "object",
    "mapping": "object",
    "list": "array",
    "tuple": "array",
    "none": "null",
    "nonetype": "null",
}
_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[a-z]+")
"""A type's name without what is bound to it, as in `int64` and `list[str]`."""
_MAX_LITERAL = 1_000_000
_MAX_DIGITS = 4000


def functions(tools: Iterable[Tool] | None) -> dict[str, Function]:
    """The tools by name; what has no name is left out, and of two with one name the first counts."""
    found: dict[str, Function] = {}
    for tool in tools or ():
        function = _function(tool)
        if function.name:
            found.setdefault(function.name, function)
    return found


def _function(tool: Tool) -> Function:
    if isinstance(tool, Mapping):
        inner = tool.get("function", tool)
        fields = inner if isinstance(inner, Mapping) else tool
        name, description = fields.get("name"), fields.get("description")
        parameters = fields.get("parameters", fields.get("input_schema"))
    else:
        name, description, parameters = tool.name, tool.description, tool.parameters
    return Function(
        name=name if isinstance(name, str) else "",
        description=description if isinstance(description, str) else "",
        parameters=parameters if isinstance(parameters, Mapping) else {},
    )


def properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The declared parameters with their schemas."""
    declared = schema.get("properties")
    return declared if isinstance(declared, Mapping) else {}


def required_names(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the parameters without which a call is not complete."""
    names = schema.get("required")
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()


def branches_of(function: Function) -> tuple[Mapping[str, Any] | None, ...]:
    """The branches of a schema's `oneOf`, each with parameters of its own; (None,) where it has no branches."""
    branches = function.parameters.get("oneOf")
    found = tuple(filter(properties, branches)) if isinstance(branches, list | tuple) else ()
    return found or (None,)


def choices_of(schema: Any, root: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that `enum` or `const` allow, as a model writes them; () where all of the type are allowed."""
    values = values_of(schema, root)
    written = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return tuple(dict.fromkeys(written))


def values_of(schema: Any, root: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values that `enum` or `const` allow; () where all of the type are allowed."""
    if not isinstance(schema, Mapping):
        return ()
    if isinstance(schema.get("$ref"), str):
        return values_of(_resolve(schema["$ref"], root), {})
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return tuple(values) if isinstance(values, list | tuple) else ()


def types_of(schema: Any, root: Mapping[str, Any]) -> tuple[str, ...]:
    """The JSON types that a schema allows, in its order; () where it says nothing about types."""
    try:
        return tuple(dict.fromkeys(_types(schema, root, set())))
    except RecursionError:
        return ()


def _types(schema: Any, root: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    """`seen` are the references followed so far: each is followed once, so that no schema costs more than its size."""
    if not isinstance(schema, Mapping):
        return
    declared = schema.get("type")
    if declared is not None:
        yield from _named(declared)
    elif "const" in schema:
        yield _type_name(schema["const"])
    elif isinstance(schema.get("enum"), list | tuple):
        yield from map(_type_name, schema["enum"])
    else:
        yield from _composed(schema, root, seen)
    if schema.get("nullable") is True:
        yield "null"


def _composed(schema: Mapping[str, Any], root: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        seen.add(reference)
        yield from _types(_resolve(reference, root), root, seen)
    for key in ("anyOf", "oneOf"):
        for branch in _list(schema, key):
            yield from _types(branch, root, seen)
    told = [kinds for part in _list(schema, "allOf") if (kinds := set(_types(part, root, seen)))]
    if told:
        yield from sorted(set.intersection(*(kinds | {"integer"} if "number" in kinds else kinds for kinds in told)))
    if "properties" in schema or "additionalProperties" in schema:
        yield "object"
    elif "items" in schema or "prefixItems" in schema:
        yield "array"


def _list(schema: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = schema.get(key)
    return value if isinstance(value, list | tuple) else ()


def _named(declared: Any) -> Iterator[str]:
    for name in declared if isinstance(declared, list | tuple) else (declared,):
        if isinstance(name, str):
            word = _WORD.match(name.strip().lower())
            kind = _ALIASES.get(word[0], word[0]) if word else ""
            if kind in _TYPES:
                yield kind


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """What a local reference such as "#/$defs/Point" points to; None where it points to nothing."""
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def _type_name(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case list() | tuple():
            return "array"
        case _:
            return "object"


def typed(text: str, schema: Any, root: Mapping[str, Any]) -> Any:
    """The value that `text` stands for under `schema`; the text itself where it is none (validation answers then)."""
    kinds = types_of(schema, root)
    others = [kind for kind in kinds if kind != "string"]
    if not others:
        return text
    stripped = text.strip()
    if "null" in others and (text == "null" or ("string" not in kinds and stripped in ("null", "None"))):
        return None
    for kind in others:
        value = _as(kind, stripped)
        if value is not _NOT:
            return value
    return text


def fitted(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """A JSON value where the schema wants another type: text that stands for one, or text in place of one."""
    kinds = types_of(schema, root)
    if isinstance(value, str):
        return value if "string" in kinds else typed(value, schema, root)
    return json.dumps(value, ensure_ascii=False) if kinds == ("string",) else value


_NOT: Any = object()


def _as(kind: str, text: str) -> Any:
    match kind:
        case "integer" | "number":
            return _number(text, whole=kind == "integer")
        case "boolean":
            return {"true": True, "false": False}.get(text.lower(), _NOT)
        case "array" | "object":
            return _container(text, list if kind == "array" else dict)
        case _:
            return _NOT


def _number(text: str, *, whole: bool) -> Any:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > _MAX_DIGITS:
        return _NOT
    if not match[1] and not match[2]:
        return int(text)
    value = float(text)
    if not math.isfinite(value) or (whole and not value.is_integer()):
        return _NOT
    return int(value) if whole else value


def _container(text: str, kind: type) -> Any:
    if text[:1] not in ("[", "{", "("):
        return _NOT
    try:
        value = _json_of(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        value = _python_literal(text)
    return value if isinstance(value, kind) else _NOT


def _json_of(value: Any) -> Any:
    """The same with nothing but what JSON holds. Raises: ValueError, TypeError, RecursionError where it holds more."""
    written = json.dumps(value, allow_nan=False)
    if "\\ud" in written:
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair could never be sent
    return json.loads(written)


def _python_literal(text: str) -> Any:
    if len(text) > _MAX_LITERAL:
        return _NOT
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            return _json_of(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _NOT
