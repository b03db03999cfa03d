"""docs/codec.md: its example runs, and its tables name every kind."""

import re
from pathlib import Path

from qcode.codec import ProblemKind, Recovery

DOCS = (Path(__file__).parents[2] / "docs" / "codec.md").read_text(encoding="utf-8")


def test_the_example_does_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    names: dict[str, object] = {}
    for statement, expected in re.findall(r"^(parsed\.\S+|\[kind.*?\])  +# (.*)$", code, re.MULTILINE):
        names.clear()
        exec(code, names)
        assert eval(statement, names) == eval(expected), statement


def test_every_kind_is_in_the_tables() -> None:
    listed = set(re.findall(r"`([a-z_]+)`", "\n".join(re.findall(r"^\| `.*", DOCS, re.MULTILINE))))
    assert {kind.value for kind in (*Recovery, *ProblemKind)} <= listed
