"""Rules of the house that no linter knows."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_a_module_stays_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("qcode/*.py", "sandbox/*.py", "tools/*.py", "evals/*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert long == {}


def test_tests_patch_nothing() -> None:
    forbidden = re.compile(
        "Magic" + "Mock|Async" + "Mock|mock" + r"\.patch|monkeypatch\.set" + "attr|unittest" + r"\.mock"
    )
    assert [str(p) for p in tracked("tests/*.py") if forbidden.search(p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "pattern", [r"(?<!\w)/wo" + "rk/", r"(?<!\w)/ro" + "ot/", "pypi" + r"\.org", "files\\.python" + "hosted"]
)
def test_no_path_of_one_machine_and_no_host_of_an_index(pattern: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py", "*.md", "*.toml", "*.sh", "Makefile", ".ci/*")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    ]
    assert found == []
