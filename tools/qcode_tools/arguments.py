"""What a model writes as arguments, brought into the form that a tool expects; and words about what does not fit."""

import json
import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from qcode_tools.errors import ToolError

_ALIASES = {
    "path": ("file", "filename", "file_name", "file_path", "filepath", "target_file", "directory", "dir", "folder"),
    "old_str": ("old_string", "old_text", "old", "old_code", "search"),
    "new_str": ("new_string", "new_text", "new", "new_code", "replace", "replacement", "text"),
    "file_text": ("content", "contents", "text", "file_content", "code", "new_str"),
    "insert_line": ("line", "line_number", "after_line", "after"),
    "text": ("new_str", "insert_text", "content", "new_text", "code"),
    "command": ("cmd", "script", "commands", "action"),
    "timeout": ("timeout_s", "timeout_seconds", "seconds"),
    "pattern": ("regex", "query", "glob", "search", "expression"),
    "include": ("glob", "file_pattern", "include_pattern", "files"),
    "start_line": ("start", "first", "line_start", "from", "offset"),
    "end_line": ("end", "last", "line_end", "to"),
    "view_range": ("range", "lines", "line_range"),
    "summary": ("message", "result", "answer", "text", "output", "final_answer"),
}
"""Other names that models trained on other tools give to our parameters."""

_NOTHING = {"", "null", "none", "undefined"}
_GIVEN = 80


def schema(args: type[BaseModel]) -> dict[str, Any]:
    """The flat JSON schema of a tool's arguments, from the fields' types and descriptions and nothing else."""
    properties = {name: _property(field) for name, field in args.model_fields.items()}
    required = [name for name, field in args.model_fields.items() if field.is_required()]
    return {"type": "object", "properties": properties, "required": required}


def validated(args: type[BaseModel], tool: str, given: dict[str, Any]) -> BaseModel:
    """The arguments as the tool's own type. Raises: ToolError, one line for each that does not fit."""
    known = _renamed(args, given)
    for name, field in args.model_fields.items():
        if name in known:
            known[name] = _converted(known[name], _kind(field), required=field.is_required())
            _check_text(name, known[name])
    known = {name: value for name, value in known.items() if value is not None}
    try:
        return args.model_validate(known)
    except ValidationError as error:
        names = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors() if problem["loc"])
        unknown = [name for name in given if _plain(name) not in args.model_fields and name not in known]
        lines = [_complaint(name, args.model_fields[name], known) for name in names if name in args.model_fields]
        if unknown:
            lines.append(f"Unknown: {', '.join(unknown[:5])}.")
        form = ", ".join(name if field.is_required() else f"[{name}]" for name, field in args.model_fields.items())
        raise ToolError("\n".join([*lines, f"Call it as {tool}({form})."])) from error


def written(args: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    """What is known of the arguments of a call that is still being written, each under its field's name."""
    known = _renamed(args, given)
    fields = args.model_fields
    converted = {
        name: _converted(value, _kind(fields[name]), required=fields[name].is_required())
        for name, value in known.items()
        if name in fields
    }
    return {name: value for name, value in converted.items() if value is not None}


def _check_text(name: str, value: Any) -> None:
    if isinstance(value, str) and (found := re.search("[\0\ud800-\udfff]", value)):
        what = "a NUL character" if found[0] == "\0" else f"half a character (\\u{ord(found[0]):04x})"
        raise ToolError(f"`{name}` contains {what}, which no file, name or command can: leave it out")


def _complaint(name: str, field: FieldInfo, known: dict[str, Any]) -> str:
    expected = _property(field)
    wanted = f"one of {', '.join(expected['enum'])}" if "enum" in expected else _WANTED[expected["type"]]
    meaning = f" ({expected['description']})" if "description" in expected else ""
    if name not in known:
        return f"`{name}` is missing: give {wanted}{meaning}."
    value = known[name]
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= _GIVEN else f"{shown[:_GIVEN]}..."
    return f"`{name}` must be {wanted}{meaning}; you gave {shown}."


_WANTED = {"string": "a text", "integer": "a whole number", "array": "two whole numbers such as [1, 40]"}


def _property(field: FieldInfo) -> dict[str, Any]:
    kind = _kind(field)
    entry: dict[str, Any] = (
        {"type": _TYPES[kind]} if kind is not tuple else {"type": "array", "items": {"type": "integer"}}
    )
    if field.description:
        entry["description"] = field.description
    if choices := _choices(field):
        entry["enum"] = choices
    return entry


_TYPES: dict[type, str] = {str: "string", int: "integer"}


def _kind(field: FieldInfo) -> type:
    """str, int, or tuple for a pair of line numbers."""
    options = [field.annotation, *get_args(field.annotation)]
    if int in options:
        return int
    return tuple if any(getattr(option, "__origin__", None) is tuple for option in options) else str


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
        lines = _pair(next((plain[name] for name in ("view_range", *_ALIASES["view_range"]) if name in plain), None))
        if isinstance(lines, tuple):
            known["start_line"], known["end_line"] = lines
    if "view_range" in args.model_fields and "start_line" in plain and "view_range" not in known:
        known["view_range"] = [plain["start_line"], plain.get("end_line") or -1]
    for name in args.model_fields:
        if name in known:
            continue
        other = next(
            (alias for alias in _ALIASES.get(name, ()) if alias in plain and alias not in args.model_fields), None
        )
        if other is not None:
            known[name] = plain.pop(other)
    return known


def _converted(value: Any, kind: type, *, required: bool) -> Any:
    if not required and isinstance(value, str) and kind is not str and value.strip().lower() in _NOTHING:
        return None
    if kind is int:
        return _integer(value)
    if kind is tuple:
        return _pair(value)
    if isinstance(value, dict):
        return json.dumps(value, indent=2, ensure_ascii=False)
    return value if value is None or isinstance(value, str | list) else str(value)


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
