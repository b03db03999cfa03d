"""What a model writes as arguments, brought into the form that a tool expects; and words about what does not fit."""

import json
import re
from typing import Any, get_args

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from qcode_tools.errors import ToolError
from qcode_tools.other_names import OTHER_NAMES

_NOTHING = {"", "null", "none", "undefined"}
_GIVEN = 80


HIDDEN: dict[str, JsonValue] = {"hidden": True}
"""For a field's `json_schema_extra`."""


def schema(args: type[BaseModel]) -> dict[str, Any]:
    """The flat JSON schema of a tool's arguments, from the fields' types and descriptions and nothing else.

    A field that is `HIDDEN` is understood and not shown: a result names it where it would help.
    """
    properties = {name: _property(field) for name, field in args.model_fields.items() if not _is_hidden(field)}
    required = [name for name, field in args.model_fields.items() if field.is_required()]
    return {"type": "object", "properties": properties, "required": required}


def validated(args: type[BaseModel], tool: str, given: dict[str, Any]) -> BaseModel:
    """The arguments as the tool's own type. Raises: ToolError, one line for each that does not fit."""
    known = written(args, given)
    try:
        return args.model_validate(known)
    except ValidationError as error:
        names = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors() if problem["loc"])
        unknown = [name for name in given if _plain(name) not in args.model_fields and name not in known]
        lines = [_complaint(name, args.model_fields[name], known) for name in names if name in args.model_fields]
        if unknown:
            lines.append(f"Unknown: {', '.join(unknown[:5])}.")
        shown = {name: field for name, field in args.model_fields.items() if not _is_hidden(field)}
        form = ", ".join(name if field.is_required() else f"[{name}]" for name, field in shown.items())
        raise ToolError("\n".join([*lines, f"Call it as {tool}({form})."])) from error


def written(args: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    """What there is of the arguments, of a call that is still being written too, each under its field's name.

    Raises: ToolError for a text that nothing can hold.
    """
    known = _renamed(args, given)
    for name, field in args.model_fields.items():
        if name in known:
            known[name] = _converted(known[name], _kind(field), required=field.is_required())
            _check_text(name, known[name])
            known[name] = _unclosed(name, known[name])
    return {name: value for name, value in known.items() if value is not None}


def _unclosed(name: str, value: Any) -> Any:
    """The value without a closing tag of the parameter's own name, which small models put behind it."""
    tag = f"</{name}>"
    mine = isinstance(value, str) and "_" in name and value.rstrip().endswith(f"\n{tag}") and f"<{name}" not in value
    return value.rstrip().removesuffix(tag).removesuffix("\n") if mine else value


def _check_text(name: str, value: Any) -> None:
    if isinstance(value, str) and (found := re.search("[\0\ud800-\udfff]", value)):
        what = "a NUL character" if found[0] == "\0" else f"half a character (\\u{ord(found[0]):04x})"
        raise ToolError(f"`{name}` contains {what}, which no file, name or command can: leave it out")


def _complaint(name: str, field: FieldInfo, known: dict[str, Any]) -> str:
    expected = _property(field)
    wanted = f"one of {', '.join(expected['enum'])}" if "enum" in expected else _wanted(field)
    meaning = f" ({expected['description']})" if "description" in expected else ""
    if name not in known:
        return f"`{name}` is missing: give {wanted}{meaning}."
    value = known[name]
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= _GIVEN else f"{shown[:_GIVEN]}..."
    return f"`{name}` must be {wanted}{meaning}; you gave {shown}."


_WANTED = {
    "string": "a text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "integers": "two whole numbers such as [1, 40]",
}


def _wanted(field: FieldInfo) -> str:
    kind = _kind(field)
    return _WANTED["integers"] if kind is tuple else _WANTED[_TYPES[kind]]


def _property(field: FieldInfo) -> dict[str, Any]:
    kind = _kind(field)
    entry: dict[str, Any] = {"type": _TYPES[kind]}
    if kind in _ITEMS:
        entry["items"] = {"type": _ITEMS[kind]}
    if field.description:
        entry["description"] = field.description
    if choices := _choices(field):
        entry["enum"] = choices
    return entry


_TYPES: dict[type, str] = {str: "string", int: "integer", bool: "boolean", tuple: "array", list: "array"}
_ITEMS: dict[type, str] = {tuple: "integer", list: "object"}


def _kind(field: FieldInfo) -> type:
    """str, int, bool, tuple for a pair of line numbers, or list for one of objects."""
    options = [field.annotation, *get_args(field.annotation)]
    plain: tuple[type, ...] = (bool, int)
    made: tuple[type, ...] = (tuple, list)
    return next(
        (kind for kind in plain if kind in options),
        next((kind for kind in made if any(getattr(option, "__origin__", None) is kind for option in options)), str),
    )


def _is_hidden(field: FieldInfo) -> bool:
    return field.json_schema_extra == HIDDEN


def _choices(field: FieldInfo) -> list[str]:
    return [choice for choice in get_args(field.annotation) if isinstance(choice, str)]


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).lower().replace("-", "_")


def _renamed(args: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    """Each argument under its field's name; other names count only where the right one was not given."""
    plain = {_plain(name): value for name, value in given.items()}
    known = {name: value for name, value in plain.items() if name in args.model_fields}
    # The range of lines as the other tool set has it.
    if "end_line" in args.model_fields and not {"start_line", "end_line"} & set(known):
        lines = _pair(next((plain[name] for name in ("view_range", *OTHER_NAMES["view_range"]) if name in plain), None))
        if isinstance(lines, tuple):
            known["start_line"], known["end_line"] = lines
    if "view_range" in args.model_fields and "start_line" in plain and "view_range" not in known:
        known["view_range"] = [plain["start_line"], plain.get("end_line") or -1]
    for name in args.model_fields:
        if name in known:
            continue
        other = next(
            (alias for alias in OTHER_NAMES.get(name, ()) if alias in plain and alias not in args.model_fields), None
        )
        if other is not None:
            known[name] = plain.pop(other)
    return known


def _converted(value: Any, kind: type, *, required: bool) -> Any:
    if not required and isinstance(value, str) and kind is not str and value.strip().lower() in _NOTHING:
        return None
    if kind is bool:
        return _truth(value)
    if kind is list:
        return _listed(value)
    if kind is int:
        return _integer(value)
    if kind is tuple:
        return _pair(value)
    if isinstance(value, dict):
        return json.dumps(value, indent=2, ensure_ascii=False)
    return value if value is None or isinstance(value, str | list) else str(value)


def _truth(value: Any) -> Any:
    plain = value.strip().lower() if isinstance(value, str) else value
    return (
        {"true": True, "yes": True, "1": True, 1: True, "false": False, "no": False, "0": False, 0: False}.get(
            plain, value
        )
        if isinstance(plain, str | int)
        else value
    )


def _listed(value: Any) -> Any:
    """A list that was given as JSON text, or its only item for the list."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    return [value] if isinstance(value, dict) else value


def _integer(value: Any) -> Any:
    if isinstance(value, str) and (
        found := re.fullmatch(r"(?:line )?([+-]?\d{1,12})(?:\.0*)?", value.strip(), re.IGNORECASE)
    ):
        return int(found[1])
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pair(value: Any) -> Any:
    if isinstance(value, int):
        return (value, value)
    numbers = re.findall(r"(?<!\d)-?\d{1,12}", value) if isinstance(value, str) else value
    if isinstance(value, str) and (
        found := re.fullmatch(r"\D*(\d{1,12})\s*(?:-|:|,|to|\.\.)\s*(-?\d{1,12})\D*", value)
    ):
        numbers = list(found.groups())
    if not isinstance(numbers, list):
        return value
    pair = [_integer(number) for number in numbers]
    return (pair[0], -1) if len(pair) == 1 else tuple(pair) if len(pair) == 2 else value
