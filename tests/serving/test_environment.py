"""Where engines are found, without importing them."""

import sys
from pathlib import Path

import pytest

from qcode.app.serving import plan_for
from qcode.errors import ConfigError, ModelFileError
from qcode.models.registry import find
from qcode.serving.environment import find_python, version_of
from qcode.serving.plan import Wish
from qcode.serving.profiles import EngineName

VLLM = EngineName.VLLM


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment as pip leaves it, with a vLLM of old."""
    site = tmp_path / "env/lib/python3.11/site-packages"
    (site / "vllm").mkdir(parents=True)
    (site / "vllm-0.9.2.dist-info").mkdir()
    (tmp_path / "env/bin").mkdir()
    (tmp_path / "env/pyvenv.cfg").touch()
    (tmp_path / "env/bin/python").symlink_to(sys.executable)
    script = tmp_path / "env/bin/vllm"
    script.write_text(f"#!{tmp_path}/env/bin/python\nimport vllm\n")
    script.chmod(0o755)
    return tmp_path / "env"


def test_the_interpreter_is_that_of_the_option_the_variable_or_the_command(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = str(environment / "bin/python")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert find_python(VLLM) is None
    assert find_python(VLLM, environment / "bin/python") == python
    monkeypatch.setenv("QCODE_VLLM_PYTHON", python)
    assert find_python(VLLM) == python
    monkeypatch.delenv("QCODE_VLLM_PYTHON")
    monkeypatch.setenv("PATH", f"{environment}/bin:/usr/bin:/bin")
    assert find_python(VLLM) == python
    assert find_python(EngineName.LLAMA) == sys.executable


def test_an_environment_without_the_engine(environment: Path) -> None:
    with pytest.raises(ConfigError, match=r"--python .* has no sglang: install sglang into an environment of its own"):
        find_python(EngineName.SGLANG, environment / "bin/python")
    with pytest.raises(ConfigError, match="is no interpreter"):
        find_python(VLLM, environment / "bin/none")


def test_what_is_missing_is_said_before_anything_starts(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    card = find("qwen3-0.6b")
    with pytest.raises(ConfigError, match=r"vLLM was not found: .* --python DIR/bin/python or QCODE_VLLM_PYTHON"):
        plan_for(Wish(card=card, engine=VLLM))
    assert version_of(VLLM, str(environment / "bin/python")) == (0, 9, 2)
    with pytest.raises(ConfigError, match=r"vLLM 0\.9\.2 in .* is too old: 0\.15\.0 is the first"):
        plan_for(Wish(card=card, engine=VLLM, python=environment / "bin/python"))
    with pytest.raises(ModelFileError, match=r"run `qcode models pull qwen3-0\.6b`"):
        plan_for(Wish(card=card, engine=EngineName.LLAMA))
