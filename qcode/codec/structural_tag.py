"""The form of a call as a structural tag, which servers with XGrammar (vLLM, SGLang) hold an answer to.

The same form as `qcode.codec.call_grammar` gives llama.cpp. Its counted free text would cost XGrammar seconds a token
and a second to compile; a tag's own limit, in tokens, costs nothing.

Source: XGrammar's `structural_tag` reference (0.2).
"""

import json
from collections.abc import Iterable, Mapping, Set
from string import ascii_letters, punctuation
from typing import Any

from qcode.codec.schema import branches_of, choices_of, functions, properties, required_names, types_of
from qcode.codec.types import Dialect, Function, Tool

REASON_TOKENS = 60
"""Tokens before a call that must come. With 120 a small model's first edits were no better (20 of 40 solved, with 60 it
was 23; docs/benchmarks.md), and these words were 44 % of all that it wrote."""

_OPENER = "<tool_call>\n"
_CLOSER = "</function>\n</tool_call>"
_BARE_CLOSER = ["</function>", _CLOSER]
_CLOSED = "</parameter>"
_END = f"{_CLOSED}\n"

# What would begin a call in another form, hide it in a code fence, or close what is not open. A model that may not
# write "<function=" was seen to write "< function=" instead: so there is no tag of any name, and no "<" but one that
# compares with a number. A call's own opener is no text either: where the text may end, it ends there.
_NOT_BEFORE_A_CALL = [
    *(before + after for before in ("<", "< ") for after in (*ascii_letters, *punctuation.replace("=", ""), *"\n\t")),
    "<  ",
    "``",
    "~~~",
]

# Thinking stands there too, in the dialect of JSON.
_NOT_BEFORE_JSON = ["<tool_call", "<function=", "<parameter", "{", "``", "~~~"]

# What would look like the end of a value: with the rest of the call behind it, or its closing tag forgotten.
_NOT_BEHIND_A_VALUE = [_CLOSED + after for after in (" ", "\t", "\r", "<")]
_NOT_IN_TEXT = ["\n</function", "\n</tool_call", "\n<parameter", *_NOT_BEHIND_A_VALUE]

_SCALARS: dict[str, dict[str, Any]] = {
    "integer": {"type": "regex", "pattern": "-?(0|[1-9][0-9]{0,17})"},
    "number": {"type": "regex", "pattern": r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?"},
    "boolean": {"type": "regex", "pattern": "true|false"},
    "null": {"type": "const_string", "value": "null"},
    "object": {"type": "json_schema", "json_schema": {"type": "object"}},
    "array": {"type": "json_schema", "json_schema": {"type": "array"}},
}


def structural_tag(
    tools: Iterable[Tool] | None, *, required: bool, dialect: Dialect = Dialect.QWEN3_CODER
) -> dict[str, Any]:
    """A `response_format` for calls to `tools`: with `required` a short free text and exactly one call, else any text
    in which every call that is begun is well-formed. There the opening `<tool_call>` may be left out, as models do: a
    small one that was kept from `<function=` wrote `<function>` and a call that nobody can read.

    Raises: ValueError when there is no tool to call.
    """
    known = list(functions(tools).values())
    if not known:
        raise ValueError("a structural tag of calls needs at least one tool")
    hermes = dialect is Dialect.HERMES
    call_of = _json_call if hermes else _call
    form: dict[str, Any]
    if required:
        excludes = _NOT_BEFORE_JSON if hermes else _NOT_BEFORE_A_CALL
        reason = {"type": "any_text", "excludes": excludes, "max_tokens": REASON_TOKENS}
        form = _sequence([reason, _constant(_OPENER), _any_of([call_of(function, "") for function in known])])
    else:
        tags = [call_of(function, _OPENER) for function in known]
        form = {"type": "triggered_tags", "triggers": [_OPENER.strip()], "tags": tags, "excludes": ["</tool_call>"]}
        if hermes:
            form["excludes"].append("<function=")
        else:
            form["triggers"].append("<function=")
            tags += [_call(function, "", closer=_BARE_CLOSER) for function in known]
    return {"type": "structural_tag", "format": form}


def text_without_calls(*, thinks: bool) -> dict[str, Any]:
    """A `response_format` for an answer that is to have no call: any text that begins and opens none. Small models
    write a call without its opening tag too, as an answer that begins with a brace. A model that `thinks` may begin
    with that."""
    begins = _any_of([*([_constant("<think>")] if thinks else []), {"type": "regex", "pattern": "[^{<]"}])
    rest = {"type": "any_text", "excludes": ["<tool_call", "<function="]}
    return {"type": "structural_tag", "format": _sequence([begins, rest])}


def _json_call(function: Function, opener: str) -> dict[str, Any]:
    name = json.dumps(function.name, ensure_ascii=False)
    schema = {"type": "object", **{key: value for key, value in function.parameters.items() if key != "oneOf"}}
    arguments = {"type": "json_schema", "json_schema": schema}
    return _tag(f'{opener}{{"name": {name}, "arguments": ', arguments, "}\n</tool_call>")


def _call(function: Function, opener: str, *, closer: str | list[str] = _CLOSER) -> dict[str, Any]:
    branches = branches_of(function)
    claimed = {name for branch in branches for name in required_names(branch or {})}
    arguments = _any_of([_arguments(function, branch, claimed) for branch in branches])
    return _tag(f"{opener}<function={function.name}>\n", arguments, closer)


def _arguments(function: Function, branch: Mapping[str, Any] | None, claimed: Set[str]) -> dict[str, Any]:
    """The parameters in the schema's order, as in `qcode.codec.call_grammar`."""
    narrowed = properties(branch or {})
    needed = {*required_names(function.parameters), *required_names(branch or {})}
    parts = []
    for name, schema in properties(function.parameters).items():
        if name in claimed and name not in needed and name not in narrowed:
            continue
        part = _argument(name, narrowed.get(name, schema), schema, function.parameters)
        parts.append(part if name in needed else {"type": "optional", "content": part})
    return _sequence(parts)


def _argument(name: str, schema: Any, general: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter from its opening to its closing tag; what `schema` leaves open, `general` tells."""
    begin = f"<parameter={name}>"
    if choices := choices_of(schema, root):
        return _tag(f"{begin}\n", _any_of([_constant(choice) for choice in choices]), f"\n{_END}")
    kinds = types_of(schema, root) or types_of(general, root)
    if kinds and "string" not in kinds:
        return _tag(f"{begin}\n", _any_of([_SCALARS[kind] for kind in kinds]), f"\n{_END}")
    if name.endswith("_code"):
        return _code(begin)
    # The line breaks at both ends are left to the model, which writes them: only as a part of the text do they show
    # that a tag in it stands at the beginning of a line.
    return _tag(begin, {"type": "any_text", "excludes": _NOT_IN_TEXT}, _END)


def _code(begin: str) -> dict[str, Any]:
    """Code, which small models fence, and end by a fence or a tag of their own: see `qcode.codec.call_grammar`."""
    ways = []
    fences = ((f"{mark}[A-Za-z][A-Za-z0-9+#-]{{0,15}}\n", f"\n{mark}") for mark in ("```", "``"))
    for first, fence in (*fences, (r"([^`\n<]|<[!?])", "\n```")):
        tails = {"\n<": _END.removeprefix("<"), fence: f"\n{_END}", _END: ""}
        for end, tail in tails.items():
            excludes = [*(other for other in tails if other not in (end, _END)), *_NOT_BEHIND_A_VALUE]
            if end != _END:
                excludes.append(_CLOSED)
            text = _sequence([{"type": "regex", "pattern": rf"\n{first}"}, {"type": "any_text", "excludes": excludes}])
            tag = _tag(begin, text, end)
            ways.append(_sequence([tag, _constant(tail)]) if tail else tag)
    return _any_of(ways)


def _tag(begin: str, content: dict[str, Any], end: str | list[str]) -> dict[str, Any]:
    return {"type": "tag", "begin": begin, "content": content, "end": end}


def _constant(text: str) -> dict[str, Any]:
    return {"type": "const_string", "value": text}


def _any_of(forms: list[dict[str, Any]]) -> dict[str, Any]:
    return forms[0] if len(forms) == 1 else {"type": "or", "elements": forms}


def _sequence(forms: list[dict[str, Any]]) -> dict[str, Any]:
    if not forms:
        return _constant("")
    return forms[0] if len(forms) == 1 else {"type": "sequence", "elements": forms}
