"""The tools as far as a request lets them be called: what a constrained engine is held to."""

from collections.abc import Mapping
from dataclasses import replace

from qcode.model import Request
from qcode_tools.spec import ToolSpec


def offered(request: Request) -> list[ToolSpec]:
    """The tools that are not withheld, with only the chosen values left for some of their parameters."""
    left = [spec for spec in request.tools if spec.name not in request.withheld] or request.tools
    return [_narrowed(spec, request.choices.get(spec.name, {})) for spec in left]


def _narrowed(spec: ToolSpec, choices: Mapping[str, tuple[str, ...]]) -> ToolSpec:
    known = spec.parameters.get("properties", {})
    chosen = {name: {**known[name], "enum": list(values)} for name, values in choices.items() if name in known}
    return replace(spec, parameters={**spec.parameters, "properties": {**known, **chosen}}) if chosen else spec
