"""GBNF of calls in the form of Qwen2.5 and Qwen3: one JSON object with a tool's name and its arguments."""

import json
from collections.abc import Mapping, Set
from typing import Any

from qcode.codec.gbnf import alternatives, literal, one_of
from qcode.codec.schema import branches_of, properties, required_names, types_of, values_of
from qcode.codec.types import Function


def call_rules(name: str, function: Function) -> list[str]:
    """Rules, the first called `name`, for a call to the function."""
    branches = branches_of(function)
    claimed = {parameter for branch in branches for parameter in required_names(branch or {})}
    rules = []
    for number, branch in enumerate(branches):
        rules += _arguments(f"{name}-{number}", function, branch, claimed)
    header = literal(f'{{"name": {json.dumps(function.name, ensure_ascii=False)}, "arguments": {{')
    sequences = alternatives(f"{name}-{number}-first-0" for number in range(len(branches)))
    return [f"{name} ::= {header} {sequences} {literal('}}')}", *rules]


def _arguments(name: str, function: Function, branch: Mapping[str, Any] | None, claimed: Set[str]) -> list[str]:
    """The arguments in the schema's order: rule `first` before any of them is written, `more` after that."""
    narrowed = properties(branch or {})
    needed = {*required_names(function.parameters), *required_names(branch or {})}
    rules = []
    place = 0
    for parameter, schema in properties(function.parameters).items():
        if parameter in claimed and parameter not in needed and parameter not in narrowed:
            continue
        value = _value(narrowed.get(parameter, schema), schema, function.parameters)
        written = f"{literal(json.dumps(parameter, ensure_ascii=False) + ': ')} {value}"
        following = f"{name}-more-{place + 1}"
        skipped = "" if parameter in needed else f" | {name}-first-{place + 1}"
        rules.append(f"{name}-first-{place} ::= {written} {following}{skipped}")
        skipped = "" if parameter in needed else f" | {following}"
        rules.append(f"{name}-more-{place} ::= {literal(', ')} {written} {following}{skipped}")
        place += 1
    return [*rules, f'{name}-first-{place} ::= ""', f'{name}-more-{place} ::= ""']


def _value(schema: Any, general: Any, root: Mapping[str, Any]) -> str:
    """A value; what `schema` leaves open, `general` tells."""
    choices = values_of(schema, root)
    if choices:
        return one_of(json.dumps(choice, ensure_ascii=False) for choice in choices)
    kinds = types_of(schema, root) or types_of(general, root)
    return alternatives(kinds) if kinds else "json"
