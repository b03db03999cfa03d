"""What a shell script would run: its simple commands, wherever they stand in it, and what it writes by redirection.

The script is parsed by tree-sitter-bash in the sealed child. Where that grammar and bash are known to differ, and for
all syntax that is not listed here, the script counts as not understood.
"""

import re
from dataclasses import dataclass, field

from qcode.policy.words import UNKNOWN, Syntax, Word, build, word
from qcode_tools.parsing.parser import shared_parser

SIZE_LIMIT = 50_000
"""Bytes of a script; a longer one counts as not understood."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""To bash all of these are parts of words; to the grammar some of them are white space."""

_SPLIT_WORD = re.compile(r"[^\s\\]\\\n")
_DELIMITER = re.compile(r"""(['"]?)\\?[A-Za-z_][A-Za-z0-9_]*\1""")
_SYNTAX = """
program list pipeline subshell compound_statement do_group if_statement elif_clause else_clause
while_statement for_statement c_style_for_statement case_statement case_item negated_command
redirected_statement command command_name function_definition declaration_command unset_command test_command
variable_assignment variable_assignments variable_name special_variable_name subscript array comment word
number string string_content raw_string ansi_c_string concatenation simple_expansion expansion
command_substitution process_substitution arithmetic_expansion binary_expression unary_expression
postfix_expression ternary_expression parenthesized_expression test_operator regex extglob_pattern
file_redirect heredoc_redirect herestring_redirect heredoc_start heredoc_body heredoc_content heredoc_end
file_descriptor
"""
_KNOWN = frozenset(_SYNTAX.split())
_EVALUATING = frozenset({"arithmetic_expansion", "subscript", "c_style_for_statement"})
_COMPARISONS = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v"})
_NAMES = frozenset(
    {"variable_name", "word", "simple_expansion", "expansion", "command_substitution", "special_variable_name"}
)
_READS = frozenset({"<", "<&", "<&-", ">&-"})
_SUBSTITUTIONS = frozenset({"command_substitution", "process_substitution"})
_QUOTED = frozenset({"raw_string", "ansi_c_string"})
_EXPANDED = frozenset({"string", "simple_expansion", "expansion", "arithmetic_expansion"})
_OPERATOR = re.compile(rb"[|&;<>()\n]")
_SUBSTITUTES = re.compile(rb"`|\$\(|[<>]\(")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_ESCAPED_AGAIN = re.compile(r"\\[`$\\]")
"""In backquotes one level of backslashes is taken off before the script in them is read."""

_NUMBER_KEPT = re.compile(r"\{([A-Za-z_]\w*)(?:\[[^]]*\])?\}(?=[<>])")
"""Before a redirection: the variable that gets the number of what is opened."""


@dataclass(frozen=True, slots=True)
class Simple:
    """One simple command: its words, the variables that are set for it alone, and how it is written."""

    words: tuple[Word, ...]
    assigned: tuple[tuple[str, Word], ...] = ()
    raw: str = ""


@dataclass(slots=True)
class Script:
    """A script as it was understood. `unknown` says what of it cannot be told; `evaluates`, that values of variables
    are evaluated as arithmetic, which can run commands that stand in them."""

    text: str
    simple: list[Simple] = field(default_factory=list)
    written: list[Word] = field(default_factory=list)
    read: list[Word] = field(default_factory=list)
    assigned: list[tuple[str, Word]] = field(default_factory=list)
    defined: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Here-documents and here-strings."""
    unknown: list[str] = field(default_factory=list)
    evaluates: bool = False


def read_script(text: str) -> Script:
    """What a script would do, as far as it can be told; blocking."""
    script = Script(text)
    source = text.encode("utf-8", "surrogatepass")
    if len(source) > SIZE_LIMIT or _CONTROL.search(text) or _SPLIT_WORD.search(text):
        script.unknown.append("a script that is too long or holds characters that hide what it says")
        script.texts.append(text)
        return script
    nodes = shared_parser().tree_now("bash", source)
    if not nodes:
        script.unknown.append("syntax that qcode does not understand")
        script.texts.append(text)
        return script
    script.assigned += [(name, Word(UNKNOWN, dynamic=True)) for name in _NUMBER_KEPT.findall(text)]
    root = build(nodes, source)
    prefixes: set[int] = set()
    for node in (root, *root.descend()):
        if node.type in {"command", "declaration_command"}:
            prefixes.update(id(child) for child in node.children if child.type == "variable_assignment")
        if id(node) not in prefixes:
            _take(node, script)
    return script


def _take(node: Syntax, script: Script) -> None:
    if node.named and node.type not in _KNOWN:
        script.unknown.append(f"syntax that qcode does not understand ({node.type})")
    if (node.type in _SUBSTITUTIONS or node.type == "program") and _hides(node):
        script.unknown.append("a command in a place where qcode cannot read it")
    match node.type:
        case "command":
            script.simple.append(_simple(node, script))
        case "declaration_command" | "unset_command":
            words = [Word(node.children[0].text)]
            words += [_declared(child) for child in node.children[1:] if child.named]
            script.simple.append(Simple(tuple(words), raw=node.text))
        case "variable_assignment":
            script.assigned.append(_assignment(node))
        case "function_definition":
            script.defined.append(next(child.text for child in node.children if child.role == "name"))
        case "file_redirect":
            _redirect(node, script)
        case "herestring_redirect":
            script.texts += [word(child).text for child in node.children if child.named]
        case "heredoc_redirect":
            _heredoc(node, script)
        case "test_command":
            operators = {child.text for child in node.descend() if child.type == "test_operator"}
            script.evaluates |= "-v" in operators or (bool(operators & _COMPARISONS) and node.text.startswith("[["))
            if not node.text.startswith("[[") and _ends_within(node):
                script.unknown.append("operators in [ ], which end it")
                script.texts.append(node.text)
        case "compound_statement" if node.text.startswith("(("):
            script.evaluates = True
        case kind if kind in _EVALUATING:
            script.evaluates |= any(child.type in _NAMES for child in node.descend())
        case "expansion":
            operators = {child.text for child in node.children if not child.named}
            script.evaluates |= bool(operators & {"!", "@", ":"})
            if operators & {"=", ":="}:
                script.assigned += [(child.text, Word(UNKNOWN, dynamic=True)) for child in node.children[:2]]
        case "for_statement":
            name = next((child.text for child in node.children if child.role == "variable"), "")
            script.assigned += [(name, word(child)) for child in node.children if child.role == "value"] or [
                (name, Word(UNKNOWN, dynamic=True))
            ]


def _simple(node: Syntax, script: Script) -> Simple:
    words: list[Word] = []
    own: list[tuple[str, Word]] = []
    for child in node.children:
        match child.type:
            case "variable_assignment":
                own.append(_assignment(child))
            case "file_redirect" | "herestring_redirect" | "heredoc_redirect":
                continue
            case "$":
                # The dollar sign of a translated string.
                words.append(Word(UNKNOWN, dynamic=True))
            case _:
                words.append(word(child))
    if words and not words[0].static:
        script.unknown.append("a command whose name is only known when it runs")
    return Simple(tuple(words), tuple(own), node.text)


def _assignment(node: Syntax) -> tuple[str, Word]:
    name = node.children[0].text
    value = [child for child in node.children[1:] if child.named]
    if not value:
        return name, Word("")
    if value[0].type == "array":
        parts = [word(child) for child in value[0].children if child.named]
        return name, Word(" ".join(part.text for part in parts), dynamic=True)
    return name, word(value[-1])


def _declared(node: Syntax) -> Word:
    if node.type != "variable_assignment":
        return word(node)
    name, value = _assignment(node)
    return Word(f"{name}={value.text}", value.dynamic, value.glob)


def _redirect(node: Syntax, script: Script) -> None:
    operator = next((child.text for child in node.children if not child.named), "")
    targets = [word(child) for child in node.children if child.role == "destination"]
    if operator in _READS:
        script.read += targets
    elif operator == ">&" and all(target.text.rstrip("-").isdigit() or target.text == "-" for target in targets):
        return
    else:
        script.written += targets


def _hides(node: Syntax) -> bool:
    """Whether a script holds a substitution that the grammar passes over, as it does in words within `${…}`: in what is
    left of its text without the substitutions that are nodes, and without quotes that surely quote."""
    # In a string the node takes in the white space before it, and to the grammar a dollar sign before a backquote too.
    backquoted = node.type == "command_substitution" and not node.text.lstrip().startswith("$(")
    if backquoted and _ESCAPED_AGAIN.search(node.text):
        return True
    left = bytearray(node.text.encode())
    waiting = [(child, False) for child in node.children]
    while waiting:
        child, expanded = waiting.pop()
        token = not child.named and not child.children
        if token or child.type in _SUBSTITUTIONS or child.type == "comment" or (child.type in _QUOTED and not expanded):
            left[child.start - node.start : child.end - node.start] = b" " * (child.end - child.start)
            continue
        inside = child.children
        if child.type == "heredoc_redirect" and _is_quoted(child):
            inside = [each for each in inside if each.type != "heredoc_body"]
            for body in (each for each in child.children if each.type == "heredoc_body"):
                left[body.start - node.start : body.end - node.start] = b" " * (body.end - body.start)
        waiting += [(each, expanded or child.type == "expansion") for each in inside]
    return _SUBSTITUTES.search(_ESCAPED.sub(b"", bytes(left))) is not None


def _ends_within(node: Syntax) -> bool:
    """Whether `[ … ]` holds an operator of the shell: to the grammar it is an expression like `[[ … ]]`, to bash a
    command like any."""
    left = bytearray(node.text.encode())
    for child in node.descend():
        if child.type in _SUBSTITUTIONS | _QUOTED | _EXPANDED:
            left[child.start - node.start : child.end - node.start] = b"x" * (child.end - child.start)
    return _OPERATOR.search(_ESCAPED.sub(b"", bytes(left))) is not None


def _is_quoted(heredoc: Syntax) -> bool:
    """Whether a here-document is taken as it stands."""
    start = next((child.text for child in heredoc.children if child.type == "heredoc_start"), "")
    return start[:1] in {"'", '"', "\\"}


def _heredoc(node: Syntax, script: Script) -> None:
    start = next((child.text for child in node.children if child.type == "heredoc_start"), "")
    body = next((child for child in node.children if child.type == "heredoc_body"), None)
    quoted = _is_quoted(node)
    if not _DELIMITER.fullmatch(start):
        script.unknown.append("a here-document whose end cannot be told")
    if body is not None:
        script.texts.append(body.text)
        # The grammar passes over backquotes there, which bash does not.
        if not quoted and "`" in body.text:
            script.unknown.append("a command in a here-document")
