"""Answers of a model by kind, each with what the format's rules read in it: what the codec and vLLM's are compared on.

The rules' letters are those of docs/codec.md. Everything is made from a seed, so that a run can be repeated.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "",
            "parameters": {
                "type": "object",
                "properties": {key: {"type": kind} for key, kind in given.items()},
                "required": list(given)[:1],
            },
        },
    }
    for name, given in {
        "bash": {"command": "string", "timeout": "integer"},
        "write_file": {"path": "string", "content": "string"},
        "list_all": {},
        "plan": {
            "title": "string",
            "count": "integer",
            "ratio": "number",
            "done": "boolean",
            "note": ["string", "null"],
            "limit": ["integer", "null"],
            "options": "object",
            "steps": "array",
        },
    }.items()
]

Call = tuple[str, dict[str, Any]]
LINES = (
    "import os", "def add(a, b):", "    return a + b", "\tif x:", "x = {'a': [1, 2]}", "", "# größer, 中文, 😀",
    "for (int i = 0; i < n; i++) { a &= ~b; }", "<div className=\"a\">&lt;b&gt; {x}</div>", "print(f\"{n:>5}\")",
    "-    return None", "+    return 0", "@@ -1,3 +1,4 @@", "SELECT * FROM t WHERE a <> b;",
    "echo \"$HOME\" | sed 's/a/b/'",
    "if a < b and c > d:", "null", "   ", "}", "<br/>", "<?xml version=\"1.0\"?>", "let s = `a ${b}`;", "42",
)  # fmt: skip
WORDS = (
    "look",
    "the",
    "line",
    "is",
    "wrong",
    "so",
    "it",
    "must",
    "be",
    "changed",
    "Ich",
    "先",
    "loop",
    "first",
    "3 < 4",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A text, and what there is in it."""

    text: str
    calls: tuple[Call, ...] = ()
    content: str = ""


def code(chance: random.Random) -> str:
    return "\n".join(chance.choices(LINES, k=chance.randint(1, 8)))


def plain(chance: random.Random) -> str:
    """Lines of which the first and the last are not blank."""
    return "\n".join(["x = 1", code(chance), "y = 2"])


def prose(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(2, 12))).capitalize() + "."


def written(value: Any) -> str:
    """As the template writes it."""
    match value:
        case str():
            return value
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def body(call: Call, *, write: Callable[[Any], str] = written) -> str:
    name, arguments = call
    given = "".join(f"<parameter={key}>\n{write(value)}\n</parameter>\n" for key, value in arguments.items())
    return f"<function={name}>\n{given}</function>"


def whole(call: Call, *, write: Callable[[Any], str] = written) -> str:
    return f"<tool_call>\n{body(call, write=write)}\n</tool_call>"


def writing(chance: random.Random) -> Call:
    return "write_file", {"path": f"src/a{chance.randint(0, 99)}.py", "content": plain(chance)}


def shell(chance: random.Random) -> Call:
    return "bash", {"command": chance.choice(("ls -l", "pytest -q", "git diff | head -5", "echo 'a  b' > \"c\""))}


def data(chance: random.Random) -> Any:
    inner = {"a": chance.randint(-9, 9), "b é": [1.5, None, True, "x\ny"], "c": {"d": "</p>"}}
    return {"options": inner, "steps": [prose(chance), 3, inner]}


@dataclass(frozen=True, slots=True)
class Kind:
    """`make` gives one answer; `why` says, where vLLM's parser reads something else, which rule decides."""

    rule: str
    name: str
    make: Callable[[random.Random], Answer]
    why: str = ""
    well_formed: bool = False


def one(make: Callable[[random.Random], Call], write: Callable[[Any], str] = written) -> Callable[..., Answer]:
    def answer(chance: random.Random) -> Answer:
        call = make(chance)
        return Answer(whole(call, write=write), (call,))

    return answer


def after_prose(chance: random.Random) -> Answer:
    said, call = prose(chance), writing(chance)
    return Answer(f"{said}\n\n{whole(call)}", (call,), said)


def several(chance: random.Random) -> Answer:
    calls = tuple(chance.choice((writing, shell))(chance) for _ in range(chance.randint(2, 4)))
    return Answer("\n".join(map(whole, calls)), calls)


def no_call(chance: random.Random) -> Answer:
    text = "\n\n".join(prose(chance) for _ in range(chance.randint(1, 4)))
    return Answer(text, (), text)


def plan(**given: Callable[[random.Random], Any]) -> Callable[[random.Random], Call]:
    return lambda chance: ("plan", {"title": prose(chance), **{key: make(chance) for key, make in given.items()}})


def pick(*values: Any) -> Callable[[random.Random], Any]:
    return lambda chance: chance.choice(values)


def text_of(make: Callable[[random.Random], str]) -> Callable[[random.Random], Call]:
    return lambda chance: ("write_file", {"path": "a", "content": make(chance)})


WELL_FORMED = tuple(
    Kind(rule, name, make, why, True)
    for rule, name, make, why in (
        ("W1", "code of several lines", one(writing), ""),
        ("W1", "a command", one(shell), ""),
        ("N7", "prose, then a call", after_prose, ""),
        ("-", "several calls", several, ""),
        ("N7", "no call", no_call, ""),
        ("-", "no arguments", one(lambda chance: ("list_all", {})), ""),
        ("W1", "white space at a value's ends", one(text_of(lambda c: "\n" * c.randint(0,
          2) + "  a \n\tb  " + "\n" * c.randint(0, 2))), ""),
        ("W1", "empty value", one(text_of(lambda c: "")), ""),
        ("W1", "CRLF lines", one(text_of(lambda c: plain(c).replace("\n", "\r\n"))), ""),
        ("W3", "XML, HTML, JSX", one(text_of(lambda c: f"<ul>{code(c)}<li a=\"b\">&amp;</li>\n</ul>")), ""),
        ("T1", "text that looks typed", one(text_of(pick("42", "null", "True", "[1]", '{"a": 1}', "1e3", "None"))), ""),
        ("T3", "integers", one(plan(count=lambda c: c.randint(-10**9, 10**9))), ""),
        ("T3", "numbers", one(plan(ratio=lambda c: round(c.uniform(-99, 99), 3))), ""),
        ("T4", "True and False, as the template writes them", one(plan(done=pick(True, False))), ""),
        ("T5", "objects and arrays", one(lambda c: ("plan", {"title": "t", **data(c)})), ""),
        ("T2", "None for an integer or null, as the template writes it", one(plan(limit=pick(None))),
         "the template writes null as `None`; vLLM knows only `null`"),
        ("T2", "null for an integer or null", one(plan(limit=pick(None)),
          write=lambda v: "null" if v is None else written(v)), ""),
        ("T6", "text for string or null", one(plan(note=pick("a", "nil", "0"))), ""),
        ("T7", "an undeclared parameter", one(lambda c: ("bash", {"command": "ls", "mode": c.choice(("5",
          "fast"))})), ""),
    )
)  # fmt: skip
