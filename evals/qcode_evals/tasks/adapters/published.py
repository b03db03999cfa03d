"""Rows of the published SWE-bench sets that lack what swebench 5 adds: image, log parser, script.

Verified, Lite and full are of twelve Python repositories; their test commands and image names are those of swebench
(`MAP_REPO_VERSION_TO_SPECS`, `docker.io/swebench/sweb.eval.x86_64.ID`). Pro has lists of tests in lower case and as
Python writes them, its own images, and says requirements and interface apart from the problem; how its JavaScript is
tested stands in another repository. Multimodal has pictures.
"""

import ast
import json
import re
import shlex
from pathlib import PurePosixPath
from typing import Any

from qcode_evals.patches import changed_paths, protected

_HERE = "EOF_114329324912"
_PYTEST = "pytest -rA"
_COMMANDS = {
    "astropy/astropy": ("parse_log_astropy", "pytest -rA -vv -o console_output_style=classic --tb=no"),
    "django/django": (
        "parse_log_django", "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1"
    ),
    "matplotlib/matplotlib": ("parse_log_matplotlib", _PYTEST),
    "mwaskom/seaborn": ("parse_log_seaborn", "pytest --no-header -rA"),
    "pallets/flask": ("parse_log_flask", _PYTEST),
    "psf/requests": ("parse_log_requests", _PYTEST),
    "pydata/xarray": ("parse_log_xarray", _PYTEST),
    "pylint-dev/pylint": ("parse_log_pylint", _PYTEST),
    "pytest-dev/pytest": ("parse_log_pytest", _PYTEST),
    "scikit-learn/scikit-learn": ("parse_log_scikit", _PYTEST),
    "sphinx-doc/sphinx": ("parse_log_sphinx", "tox --current-env -epy39 -v --"),
    "sympy/sympy": (
        "parse_log_sympy",
        "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose",
    ),
}  # fmt: skip
_CONDA = ("source /opt/miniconda3/bin/activate", "conda activate testbed")
_PRO_IMAGES = "jefzda/sweap-images"
_PRO_WHOLE = "element-hq__element-web-ec0f940ef0e8e3b61078f145f34dc40d1938e6c5-vnan"
"""The one row of its repository whose image has the whole name."""
_PYTHON_TEST = re.compile(r"(^|/)(test_[^/]*|[^/]*_test)\.py$")


class Unusable(ValueError):
    """For the reader of a data set: the row does not say how its tests are run."""


def completed(row: Any) -> Any:
    """The row with what it lacks; one that has a script, or is none of a published set, is given back as it is.

    Raises: Unusable for a row whose tests cannot be run; ValueError for one that is damaged.
    """
    if not isinstance(row, dict):
        return row
    if row.get("eval_script") or "base_commit" not in row or "environment" in row:
        return row | {"problem_statement": _problem(row)} if row.get("image_assets") else row
    row = {**row, "FAIL_TO_PASS": _list(row, "FAIL_TO_PASS"), "PASS_TO_PASS": _list(row, "PASS_TO_PASS")}
    row["problem_statement"] = _problem(row)
    if "dockerhub_tag" in row or "selected_test_files_to_run" in row:
        return _pro(row)
    if str(row.get("repo")) not in _COMMANDS:
        raise Unusable(
            f"{row.get('repo')} has no eval_script, and its test command is not known here: give rows of swebench 5's "
            "form, with image, log_parser and eval_script"
        )
    parser, command = _COMMANDS[row["repo"]]
    tests = _test_files(row)
    named = [_django(path) for path in tests] if row["repo"] == "django/django" else tests
    name = str(row["instance_id"]).lower().replace("__", "_1776_")
    return row | {
        "image": row.get("image") or f"swebench/sweb.eval.x86_64.{name}:latest",
        "log_parser": parser,
        "eval_script": _script(row, "/testbed", _CONDA, f"{command} {' '.join(map(shlex.quote, named))}", tests),
    }


def _pro(row: dict[str, Any]) -> dict[str, Any]:
    match str(row.get("repo_language", "")).lower():
        case "python":
            changed = _test_files(row)
            chosen = [path for path in _list(row, "selected_test_files_to_run") if _PYTHON_TEST.search(path)]
            parser, command = "parse_log_pytest_v2", "python -m pytest -rA " + _quoted(chosen or changed)
        case "go":
            changed = [path for path in changed_paths(str(row.get("test_patch", ""))) if path.endswith("_test.go")]
            names = [*row["FAIL_TO_PASS"], *row["PASS_TO_PASS"]]
            tops = "|".join(dict.fromkeys(name.partition("/")[0] for name in names))
            parser, command = "parse_log_gotest", f"go test -v -run {shlex.quote(f'^({tops})$')} ./..."
        case language:
            raise Unusable(f"SWE-bench Pro does not say in its rows how tests in {language or 'its language'} are run")
    image = f"{_PRO_IMAGES}:{row.get('dockerhub_tag') or _pro_tag(row)}"
    return row | {
        "image": image,
        "log_parser": parser,
        "eval_script": _script(row, "/app", (), command, changed),
        "environment": {"workdir": "/app", "source": {"image": image}},
    }


def _pro_tag(row: dict[str, Any]) -> str:
    """The image's tag of a row that does not name it: helper_code/image_uri.py of SWE-bench_Pro-os."""
    owner, _, name = str(row.get("repo", "")).lower().partition("/")
    rest = str(row.get("instance_id", "")).removeprefix("instance_")
    if name == "element-web" and rest != _PRO_WHOLE:
        name = "element"
    if rest != _PRO_WHOLE:
        rest = rest.removesuffix("-vnan")
    return f"{owner}.{name}-{rest}"[:128]


def _quoted(paths: list[str]) -> str:
    return " ".join(map(shlex.quote, paths))


def _list(row: dict[str, Any], name: str) -> list[str]:
    """A list of names, also where it is text of JSON or of Python, or has its name in lower case."""
    value = row.get(name, row.get(name.lower(), []))
    if isinstance(value, str):
        try:
            value = _value(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            value = None
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name}: is no list of names")
    return [str(item) for item in value]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _problem(row: dict[str, Any]) -> str:
    """The problem with all that the set gives an agent beside it; not `hints_text`, which was written after."""
    said = [str(row.get("problem_statement", ""))]
    said += [f"{title}:\n{text}" for title, name in _BESIDE if (text := str(row.get(name) or "").strip())]
    assets = row.get("image_assets")
    try:
        assets = json.loads(assets) if isinstance(assets, str) and assets else assets
    except (ValueError, RecursionError):
        raise ValueError("image_assets: is text, and not JSON") from None
    shown = assets.get("problem_statement") if isinstance(assets, dict) else None
    if shown:
        said.append("Pictures of the issue:\n" + "\n".join(map(str, shown)))
    return "\n\n".join(said)


_BESIDE = (("Requirements", "requirements"), ("New interfaces", "interface"))


def _test_files(row: dict[str, Any]) -> list[str]:
    """The Python test files that the row's test patch changes."""
    paths = [path for path in changed_paths(str(row.get("test_patch", ""))) if path.endswith(".py")]
    return [path for path in paths if protected(path, tests=()) == "tests"] or paths


def _django(path: str) -> str:
    """How Django's runner is given a file below tests/."""
    inner = PurePosixPath(path).with_suffix("")
    return ".".join(inner.relative_to("tests").parts if inner.parts[0] == "tests" else inner.parts)


def _script(row: dict[str, Any], folder: str, activate: tuple[str, ...], command: str, tests: list[str]) -> str:
    names = " ".join(map(shlex.quote, tests))
    return "\n".join(
        [
            "#!/bin/bash", "set -uxo pipefail", *activate, f"cd {folder}",
            f"git config --global --add safe.directory {folder}",
            f"git checkout HEAD -- {names} 2>/dev/null || rm -f {names}" if names else ":",
            f"git apply -v - <<'{_HERE}'", str(row.get("test_patch", "")).rstrip("\n"), _HERE,
            ": '>>>>> Start Test Output'", command, ": '>>>>> End Test Output'", "",
        ]
    )  # fmt: skip
