"""Imports the openai package without the two thirds of it that a chat completion never uses.

`import openai` runs `openai/types/__init__.py`, which loads 470 modules of pydantic models; a streamed chat completion
needs 100 of them. So `openai.types` and `openai.types.responses` become deferred packages: submodules import as ever,
and the package's own `__init__` runs when somebody first asks for a name that is not there.

Where aiohttp is installed (Ray brings it) the package loads it too, for a client that is not used here: 0.1 s. So it is
told that it is not there.
"""

import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

DEFERRED = frozenset({"openai.types", "openai.types.responses"})
UNUSED = "openai._vendor.httpx_aiohttp"


class _DeferredPackage(ModuleType):
    """A package whose `__init__` runs at the first name that is missing."""

    def __getattr__(self, name: str) -> Any:
        # Import machinery and inspection ask every module for names such as __wrapped__; they want no package loaded.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__dict__["_qcode_init"].run(self)
        return ModuleType.__getattribute__(self, name)


class _Init:
    """Runs the package's own `__init__` once, whichever thread comes first."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._started = False

    def run(self, module: ModuleType) -> None:
        with self._lock:
            # Already started and still here: the package's own __init__ asks for a name that it has not bound yet.
            if self._started or module.__class__ is not _DeferredPackage:
                return
            self._started = True
            try:
                self._loader.exec_module(module)
            except BaseException:
                self._started = False
                raise
            object.__setattr__(module, "__class__", ModuleType)
            del module.__dict__["_qcode_init"]


class _Loader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _DeferredPackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__dict__["_qcode_init"] = _Init(self._loader)


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == UNUSED:
            raise ModuleNotFoundError(f"{name} is not used here", name=name)
        if name not in DEFERRED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None or spec.submodule_search_locations is None:
            return None
        spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


def import_openai() -> None:
    """Make `import openai` cheap, then do it; a plain import where the package is already there or objects.

    Raises: ImportError.
    """
    if "openai" in sys.modules:
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("openai")
    except Exception:
        # Another layout of the package than the one this was written for: whatever is half loaded goes.
        for name in [name for name in sys.modules if name == "openai" or name.startswith("openai.")]:
            del sys.modules[name]
    finally:
        sys.meta_path.remove(finder)
    importlib.import_module("openai")
