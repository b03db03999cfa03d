"""What importing the SDK costs, and that what was left out is still there for whoever wants it."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

LOAD = "from qcode.backends.openai_compat.sdk import import_openai; import sys; import_openai(); "


def python(code: str, cwd: Path, path: Path | None = None) -> str:
    """What a fresh interpreter prints; `path` is put in front of its module search path."""
    start = f"import sys; sys.path.insert(0, {str(path)!r}); " if path else ""
    ran = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", start + code], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_models_of_the_responses_api_are_not_loaded(tmp_path: Path) -> None:
    code = LOAD + "print('openai.types.responses.response' in sys.modules, 'openai.types.beta' in sys.modules)"
    assert python(code, tmp_path) == "False False"


def test_a_client_that_is_not_used_is_not_loaded_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text("", encoding="utf-8")
    code = LOAD + "import openai; print('aiohttp' in sys.modules, openai.AsyncOpenAI.__name__)"
    assert python(code, tmp_path, tmp_path) == "False AsyncOpenAI"


def test_a_plain_import_would_load_them(tmp_path: Path) -> None:
    code = "import sys, openai; print('openai.types.responses.response' in sys.modules)"
    assert python(code, tmp_path) == "True"


async def test_a_whole_answer_does_not_load_them_either(
    serve: Callable[..., Awaitable[tuple[str, Any]]], tmp_path: Path
) -> None:
    url, _ = await serve({"text": "done"})
    code = f"""
import asyncio, sys
from qcode.backends.openai_compat import OpenAIBackend
from qcode.messages import User
from qcode.model import Request

async def main():
    backend = OpenAIBackend({url!r})
    items = [item async for item in backend.stream(Request("s", (User(text="hi"),)))]
    await backend.aclose()
    print(items[-1].text, "openai.types.responses.response" in sys.modules)

asyncio.run(main())
"""
    assert await asyncio.to_thread(python, code, tmp_path) == "done False"


def test_names_of_the_package_are_still_there(tmp_path: Path) -> None:
    code = LOAD + (
        "from openai.types import Completion; import openai.types.beta, openai.types.chat; "
        "from openai.types.responses import Response, ResponseInputText; from openai.types.beta import Assistant; "
        "import openai; print(Completion.__name__, Assistant.__name__, Response.__name__, "
        "openai.types.responses.Response is Response, type(openai.types).__name__)"
    )
    assert python(code, tmp_path) == "Completion Assistant Response True module"


def test_star_import_and_inspection_work(tmp_path: Path) -> None:
    code = LOAD + (
        "import inspect, openai.types as t; assert 'openai' in inspect.getfile(t); inspect.unwrap(t); "
        "assert not hasattr(t, 'NoSuchName'); from openai.types import *; print(Embedding.__name__, Batch.__name__)"
    )
    assert python(code, tmp_path) == "Embedding Batch"


def test_submodules_can_be_imported_from_several_threads(tmp_path: Path) -> None:
    code = LOAD + (
        "from concurrent.futures import ThreadPoolExecutor; import openai.types as t; "
        "names = ['Completion', 'Embedding', 'Batch', 'Model'] * 8\n"
        "with ThreadPoolExecutor(8) as pool: print(len({c.__name__ for c in pool.map(lambda n: getattr(t, n), names)}))"
    )
    assert python(code, tmp_path) == "4"


def test_an_import_before_ours_is_left_alone(tmp_path: Path) -> None:
    code = "import openai; " + LOAD + "print(type(openai.types).__name__, sys.modules['openai'] is openai)"
    assert python(code, tmp_path) == "module True"


def test_a_package_that_cannot_be_deferred_is_imported_plainly(tmp_path: Path) -> None:
    """Another release of the package may look into its own dictionary, which a deferred package leaves empty."""
    types = tmp_path / "site" / "openai" / "types"
    types.mkdir(parents=True)
    (types / "__init__.py").write_text("VALUE = 42\n")
    (types.parent / "__init__.py").write_text("from . import types\nVALUE = vars(types)['VALUE']\n")
    code = LOAD + "import openai; print(openai.VALUE, len([f for f in sys.meta_path if '_Finder' in repr(f)]))"
    assert python(code, tmp_path, tmp_path / "site") == "42 0"


def test_an_error_in_the_package_itself_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "site" / "openai"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import no_such_module_of_ours\n")
    code = (
        "from qcode.backends.openai_compat.sdk import import_openai\n"
        "try: import_openai()\nexcept ImportError as e: print(e.name)"
    )
    assert python(code, tmp_path, tmp_path / "site") == "no_such_module_of_ours"


def test_importing_the_backend_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from qcode.backends.openai_compat import OpenAIBackend; OpenAIBackend('http://127.0.0.1:1/v1'); "
        "print([name for name in ('openai', 'httpx2', 'httpx', 'anyio') if name in sys.modules])"
    )
    assert python(code, tmp_path) == "[]"
