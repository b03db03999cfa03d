"""A grammar for llama.cpp that lets a model write only calls that can be executed.

Either lazy, from the opening tag of a call on, or for the whole answer: a short reason, then one call.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from qcode.codec.gbnf import alternatives, literal, one_of, text_without
from qcode.codec.json_grammar import call_rules
from qcode.codec.schema import branches_of, choices_of, functions, properties, required_names, types_of
from qcode.codec.types import Dialect, Function, Tool

REASON_LIMIT = 400
"""Characters before a call that must come."""


class TriggerType(IntEnum):
    """How llama.cpp finds the place where a lazy grammar begins (its `common_grammar_trigger_type`)."""

    WORD = 1
    PATTERN = 2


@dataclass(frozen=True, slots=True)
class Trigger:
    """What begins a lazy grammar; of a pattern, its first group."""

    type: TriggerType
    value: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """`text` is GBNF; with triggers it is lazy and holds from the first of them on, else for the whole answer.

    `preserved` are tokens of the model that must be seen as text.
    """

    text: str
    triggers: tuple[Trigger, ...] = ()
    preserved: tuple[str, ...] = ("<tool_call>", "</tool_call>")

    @property
    def lazy(self) -> bool:
        """Whether there is free text before the first trigger."""
        return bool(self.triggers)


_WRAPPER = Trigger(TriggerType.WORD, "<tool_call>")

# Without its wrapper. The `$` keeps it from a token that holds "=" and the beginning of a name: the engine would find
# the grammar broken by a name that is no tool's, and give up the request.
_HEADER = Trigger(TriggerType.PATTERN, r"(?:^|\n)[ \t]*(<function=?)$")

_END = r'end ::= "\n</parameter>\n"'


def _text(rule: str, name: str) -> list[str]:
    """A string up to and with its closing tag, without what would look like the end of a value whose closing tag was
    forgotten. Small models close `name` with a tag of that name: the closing tag then comes by itself.
    """
    if name.endswith("_code"):
        return _code(rule)
    return text_without(
        rule,
        start="\n",
        end="</parameter>",
        after_end=" \t\r\n<",
        final="\n",
        forbidden=("\n</function", "\n</tool_call", "\n<parameter"),
        ending={f"\n</{name}>": "\n</parameter>\n"} if "_" in name else {},
    )


def _code(rule: str) -> list[str]:
    """Code up to and with its closing tag.

    Small models fence it, with three backticks or with two, at its end also what they did not fence at its beginning,
    and close it with tags that they make up. Kept from one of those they were seen to write junk up to the length
    limit, so each of them ends the value: a fence at the beginning of a line, and there any tag, which becomes the
    right one; the tool leaves fences out. A fence names its language: after a bare one came "obj['new_code']",
    and where its line need not end there, "str.replace(…)".
    """
    first = '[^`<\\n] | "<" [!?]'
    options, lines = [], []
    for number, (begin, fence) in enumerate((("```", "```"), ("``", "``"), ("", "```"))):
        inside = f"{rule}-code{number}"
        ending = {"\n<": "/parameter>\n", f"\n{fence}": "\n</parameter>\n"}
        start = "\n" if begin else ""
        lines += text_without(inside, start=start, end="</parameter>", after_end=" \t\r\n<", final="\n", ending=ending)
        options.append(f'"{begin}" [A-Za-z] [A-Za-z0-9+#-]{{0,15}} "\\n" {inside}' if begin else f"({first}) {inside}")
    return [f"{rule} ::= {' | '.join(options)}", *lines]


_JSON = (
    'integer ::= "-"? ("0" | [1-9] [0-9]{0,17})',
    'number ::= integer ("." [0-9]{1,20})? ([eE] [+-]? [0-9]{1,2})?',
    'boolean ::= "true" | "false"',
    'null ::= "null"',
    'object ::= "{" ws (string ws ":" ws json (ws "," ws string ws ":" ws json)*)? ws "}"',
    'array ::= "[" ws (json (ws "," ws json)*)? ws "]"',
    "json ::= object | array | string | number | boolean | null",
    r'string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" unit))* "\""',
    "unit ::= [0-9abcefABCEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}",
    r"ws ::= [ \t\n]{0,20}",
)

# Before a call that must come: no tag nor anything like it (kept from its tag, a model was seen to write "<0>" again
# and again), no code fence, and no run of backticks but single ones.
_PROSE = 'prose ::= [^<`~] | "<" "="? " " [0-9A-Za-z_(] | "`" [^<`~] | "~" [^<`~]'

# Of JSON not even a brace: a model was seen to write its call there, without its wrapper, and then dots to the end.
_PROSE_JSON = _PROSE.replace("`~]", "`~{]")

# A model that thinks may do so before that.
_THOUGHT = r'thought ::= "<think>" ([^<] | "<" [^/])* "</think>" [\n]{0,2}'


@dataclass(frozen=True, slots=True)
class _Form:
    """A dialect's rules: those of the root with a call that must come, and those from a call's opening on, whose
    wrapper may stay open at the end: a model that has left it out or would stop here, and is made to write
    "</tool_call>", was seen to go on with one call after another."""

    required: tuple[str, ...]
    lazy: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    shared: tuple[str, ...]


_FORMS = {
    Dialect.QWEN3_CODER: _Form(
        required=(r'root ::= reason? "<tool_call>\n"? call "</tool_call>"', _PROSE),
        lazy=(
            r'root ::= "<tool_call>\n"? call rest?',
            r'rest ::= "</tool_call>" ("\n<tool_call>\n" call "</tool_call>")* "\n"?',
        ),
        triggers=(_WRAPPER, _HEADER),
        shared=(_END, *_JSON),
    ),
    Dialect.HERMES: _Form(
        required=(r'root ::= thought? reason? "<tool_call>\n" call "\n</tool_call>"', _PROSE_JSON, _THOUGHT),
        lazy=(
            r'root ::= "<tool_call>\n" call rest?',
            r'rest ::= "\n</tool_call>" ("\n<tool_call>\n" call "\n</tool_call>")* "\n"?',
        ),
        triggers=(_WRAPPER,),
        shared=_JSON,
    ),
}


def grammar(
    tools: Iterable[Tool] | None,
    *,
    required: bool,
    reason_limit: int = REASON_LIMIT,
    dialect: Dialect | str = Dialect.QWEN3_CODER,
) -> Grammar:
    """The grammar of calls to `tools`: with `required` exactly one, after at most `reason_limit` characters.

    Raises: ValueError when there is no tool to call.
    """
    known = list(functions(tools).values())
    if not known:
        raise ValueError("a grammar of calls needs at least one tool")
    dialect = Dialect(dialect)
    form = _FORMS[dialect]
    texts: dict[str, str] = {}
    calls = ["call ::= " + " | ".join(f"call-{number}" for number in range(len(known)))]
    for number, function in enumerate(known):
        if dialect is Dialect.HERMES:
            calls += call_rules(f"call-{number}", function)
        else:
            calls.append(f"call-{number} ::= {_call(function, texts)}")
    named = {rule: name for name, rule in texts.items()}
    calls += [line for rule, name in named.items() for line in _text(rule, name)]
    root = (*form.required, f"reason ::= prose{{0,{reason_limit}}}") if required else form.lazy
    return Grammar("\n".join([*root, *calls, *form.shared]) + "\n", () if required else form.triggers)


def _call(function: Function, texts: dict[str, str]) -> str:
    """A function from its header to its closing tag, after the wrapper's opening tag; into `texts` come the rules of
    free text that it needs, by parameter."""
    branches = branches_of(function)
    claimed = {name for branch in branches for name in required_names(branch or {})}
    sequences = [_sequence(function, branch, claimed, texts) for branch in branches]
    header, closing = literal(f"<function={function.name}>\n"), literal("</function>\n")
    return f"{header} {alternatives(sequences)} {closing}"


def _sequence(function: Function, branch: Mapping[str, Any] | None, claimed: Set[str], texts: dict[str, str]) -> str:
    """The parameters in the schema's order: the required ones, and between them those that may be left out.

    What is `claimed`, required in some branch, is left out of the branches that do not name it.
    """
    narrowed = properties(branch or {})
    needed = {*required_names(function.parameters), *required_names(branch or {})}
    parts = []
    for name, schema in properties(function.parameters).items():
        if name in claimed and name not in needed and name not in narrowed:
            continue
        value = _value(narrowed.get(name, schema), schema, function.parameters)
        if value is None:
            value = texts.setdefault(name, f"own{len(texts)}" if "_" in name else "text")
        part = f"{literal(f'<parameter={name}>' + chr(10))} {value}"
        parts.append(part if name in needed else f"({part})?")
    return " ".join(parts) or '""'


def _value(schema: Any, general: Any, root: Mapping[str, Any]) -> str | None:
    """A value up to and with its closing tag, None for any text; what `schema` leaves open, `general` tells."""
    choices = choices_of(schema, root)
    if choices:
        return f"{one_of(choices)} end"
    kinds = types_of(schema, root) or types_of(general, root)
    if not kinds or "string" in kinds:
        return None
    return f"{alternatives(kinds)} end"
