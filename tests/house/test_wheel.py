"""What is installed: no name that could collide in site-packages, and every data file."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_four_packages_and_their_data(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-P", "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)],
        check=True,
        cwd=tmp_path,
    )
    wheel = next(tmp_path.glob("qcode-*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {"qcode", "qcode_sandbox", "qcode_tools", "qcode_evals"}
    for data in (
        "qcode/models/registry.toml",
        "qcode/serving/profiles.toml",
        "qcode/agent/prompts/swe.md",
        "qcode/agent/prompts/compact.md",
        "qcode/instructions/init.md",
        "qcode/agent/prompts/small.md",
        "qcode/agent/prompts/qwen-code.md",
        "qcode_tools/descriptions/bash.md",
        "qcode_tools/parsing/queries/python.scm",
        "qcode_evals/agents/command/definitions/aider.toml",
        "qcode_evals/agents/command/portable.sh",
        "qcode_sandbox/server.sh",
        "qcode/py.typed",
    ):
        assert data in names
