"""Tasks of QuixBugs and of Aider's polyglot benchmark from their checkouts, as rows without lists of tests yet.

QuixBugs: python_programs/NAME.py is wrong, correct_python_programs/NAME.py right, python_testcases/test_NAME.py tests,
json_testcases/NAME.json are cases. Polyglot: python/exercises/practice/NAME with .docs/instructions.md, a stub,
.meta/example.py, and NAME_test.py; only its Python part, whose tests this harness can witness.
"""

import ast
import difflib
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qcode.errors import ConfigError
from qcode_evals.tasks.trees import tree_hash

_BASE = "debian-bookworm-py3.11"
_HERE = "EOF_114329324912"
Row = dict[str, Any]


def quixbugs(root: Path) -> Iterator[Row]:
    """One row a program that has a test. Raises: ConfigError for a folder that is no checkout."""
    programs = root / "python_programs"
    if not programs.is_dir() or not (root / "correct_python_programs").is_dir():
        raise ConfigError(f"{root} is no checkout of QuixBugs: python_programs or correct_python_programs is not there")
    shared = {
        f"python_testcases/{path.name}": _text(path)
        for path in sorted((root / "python_testcases").glob("*.py"))
        if not path.name.startswith("test_")
    }
    helpers = {
        f"python_programs/{name}": _text(programs / name) for name in ("node.py",) if (programs / name).is_file()
    }
    for wrong in sorted(programs.glob("*.py")):
        name = wrong.stem
        test, right = root / "python_testcases" / f"test_{name}.py", root / "correct_python_programs" / wrong.name
        if not test.is_file() or not right.is_file():
            continue
        path = f"python_programs/{wrong.name}"
        files = {path: _text(wrong), **helpers}
        tests = {f"python_testcases/{test.name}": _text(test), **shared}
        if (cases := root / "json_testcases" / f"{name}.json").is_file():
            tests[f"json_testcases/{cases.name}"] = _text(cases)
        if (settings := root / "conftest.py").is_file():
            files["conftest.py"] = _text(settings)
        said = _docstring(files[path]) or f"See the function `{name}`."
        problem = (
            f"`{name}` in {path} gives wrong results\n\nThe function `{name}` does not do what its docstring says. "
            f"The docstring:\n\n{said}\n"
        )
        yield _row("quixbugs", name, problem, files, {path: _text(right)}, tests, f"python_testcases/{test.name}")


def polyglot(root: Path) -> Iterator[Row]:
    """One row an exercise. Raises: ConfigError for a folder that is no checkout."""
    practice = root / "python" / "exercises" / "practice"
    if not practice.is_dir():
        raise ConfigError(f"{root} is no checkout of the polyglot benchmark: python/exercises/practice is not there")
    for exercise in sorted(path for path in practice.iterdir() if path.is_dir()):
        about = exercise / ".meta" / "config.json"
        try:
            config = json.loads(_text(about))["files"]
            stubs, tests, examples = (list(map(str, config[name])) for name in ("solution", "test", "example"))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"{about} does not name the files of the exercise: {error!r}") from None
        docs = [exercise / ".docs" / name for name in ("introduction.md", "instructions.md", "instructions.append.md")]
        problem = "\n\n".join(_text(path).strip() for path in docs if path.is_file())
        words = f"\n\nImplement this in {', '.join(stubs)}: keep the names that are there. Only the standard library."
        files = {path: _text(exercise / path) for path in stubs}
        fixed = dict(zip(stubs, (_text(exercise / path) for path in examples), strict=False))
        hidden = {path: _text(exercise / path) for path in tests}
        yield _row("polyglot-python", exercise.name, problem + words, files, fixed, hidden, " ".join(tests))


def _row(
    of: str, name: str, problem: str, files: Mapping[str, str], fixed: Mapping[str, str], tests: Mapping[str, str],
    run: str,
) -> Row:  # fmt: skip
    test_patch = "".join(_new_file(path, text) for path, text in sorted(tests.items()))
    names = " ".join(map(shlex.quote, sorted(tests)))
    script = [
        "#!/bin/bash", "set -uxo pipefail", "source /opt/venv/bin/activate", "cd /testbed", f"rm -f {names}",
        f"git apply -v - <<'{_HERE}'", test_patch.rstrip("\n"), _HERE, ": '>>>>> Start Test Output'",
        f"python -m pytest -rA -p no:cacheprovider {run}", ": '>>>>> End Test Output'", "",
    ]  # fmt: skip
    return {
        "repo": f"{of}/{name}",
        "instance_id": f"{of}__{name}",
        "patch": "".join(_change(path, files[path], text) for path, text in sorted(fixed.items())),
        "test_patch": test_patch,
        "problem_statement": problem,
        "FAIL_TO_PASS": "[]",
        "PASS_TO_PASS": "[]",
        "log_parser": "parse_log_pytest_v2",
        "eval_script": "\n".join(script),
        "environment": {
            "base": _BASE,
            "source": {"files": dict(files), "tree": tree_hash(dict(files))},
            "env_install": ["python3 -m venv /opt/venv", "/opt/venv/bin/python -m pip install pytest pytest-timeout"],
            "test_files": sorted(tests),
            "timeout_s": 300,
        },
    }


def _change(path: str, before: str, after: str) -> str:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    lines = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    )
    return f"diff --git a/{path} b/{path}\n{lines}" if lines else ""


def _new_file(path: str, text: str) -> str:
    lines = text.splitlines(keepends=True)
    if not lines:
        return f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
    body = "".join(f"+{line}" if line.endswith("\n") else f"+{line}\n\\ No newline at end of file\n" for line in lines)
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n{body}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None


def _docstring(source: str) -> str:
    """What a QuixBugs program says of itself: the last text that stands alone in it."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return ""
    found = [node.value.value for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    texts = [text for text in found if isinstance(text, str)]
    return texts[-1].strip() if texts else ""
