"""Runs inside the box, in the tests' own process, and says what became of each; sent as text, never imported here.

Python 3.7 or later, standard library only, because it runs in the Python of the row's image. It is loaded before any
code of the repository: as a plugin by `-p` under pytest, as `sitecustomize` elsewhere. It reads its key, deletes the
folder that it came in, and when the tests end writes one line to the standard output that it found at its start:

    TOKEN-report HMAC BODY        BODY = base64(zlib(JSON)), HMAC = HMAC-SHA256(KEY, BODY) in hex

so that no other process and nothing that is printed can be taken for it.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import hmac
import importlib.abc
import importlib.machinery
import json
import os
import shutil
import sys
import zlib
from types import ModuleType
from typing import Any, Callable, Iterator  # noqa: UP035 - Python 3.8 cannot subscript collections.abc

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
_OUTPUT = os.dup(1)


def _leave_no_trace() -> None:
    """Take the additions out of the environment and the path, so that the tests see neither."""
    sys.path[:] = [entry for entry in sys.path if entry != _HERE]
    for name, own, glue in (("PYTHONPATH", _HERE, ":"), ("PYTEST_ADDOPTS", "-p " + __name__, " ")):
        value = os.environ.get(name, "")
        if value == own:
            del os.environ[name]
        elif value.startswith(own + glue):
            os.environ[name] = value[len(own) + 1 :]


class _Statement:
    """What is said in the end. Its tools are its own, whatever is done to the modules that they come from."""

    def __init__(self, runner: str) -> None:
        self.runner = runner
        self.results: list[list[str]] = []
        self.faults: list[str] = []
        self.canaries: list[str] = []
        with open(os.path.join(_HERE, "key"), encoding="ascii") as file:  # noqa: PTH118, PTH123
            token, key = file.read().split()
        shutil.rmtree(_HERE, ignore_errors=True)
        _leave_no_trace()
        encode, compress, encode64, new = json.JSONEncoder().encode, zlib.compress, base64.b64encode, hmac.new
        sha256, write, process, getpid = hashlib.sha256, os.write, os.getpid(), os.getpid

        def send(exit_code: int | None) -> None:
            if getpid() != process:
                return
            said = {
                "runner": self.runner,
                "results": self.results,
                "faults": self.faults,
                "canaries": self.canaries,
                "exit_code": exit_code,
            }
            body = encode64(compress(encode(said).encode("utf-8", "backslashreplace")))
            line = b"\n%s-report %s %s\n" % (
                token.encode(),
                new(key.encode(), body, sha256).hexdigest().encode(),
                body,
            )
            while line:
                line = line[write(_OUTPUT, line) :]

        self.send = send

    def add(self, name: str, status: str) -> None:
        self.results.append([name, status])


_WATCHED = {
    "_pytest.runner": (
        "pytest_runtest_protocol", "runtestprotocol", "call_and_report", "call_runtest_hook", "pytest_runtest_setup",
        "pytest_runtest_call", "pytest_runtest_teardown", "pytest_runtest_makereport", "CallInfo.from_call",
    ),
    "_pytest.reports": ("TestReport.__init__", "TestReport.from_item_and_call", "BaseReport.passed"),
    "_pytest.python": ("Function.runtest", "Function.setup", "pytest_pyfunc_call"),
    "_pytest.main": ("Session.pytest_runtest_logreport", "pytest_runtestloop", "wrap_session"),
    "pluggy._hooks": ("HookCaller.__call__", "_HookCaller.__call__"),
    "pluggy.hooks": ("_HookCaller.__call__",),
    "pluggy._manager": ("PluginManager._hookexec",),
    "pluggy._callers": ("_multicall",),
    "pluggy.callers": ("_multicall",),
    "unittest.case": ("TestCase.run", "TestCase.__call__", "TestCase.fail"),
    "unittest.result": ("TestResult.addSuccess", "TestResult.addFailure", "TestResult.addError"),
    "unittest.suite": ("TestSuite.run",),
}  # fmt: skip


def _watched() -> Iterator[tuple[str, Any, Any]]:
    """Name, object and code of every function that an outcome passes through."""
    for module_name, names in _WATCHED.items():
        module = sys.modules.get(module_name)
        for dotted in names if module is not None else ():
            found: Any = module
            for part in dotted.split("."):
                found = vars(found).get(part) if found is not None else None
            if found is not None:
                function = getattr(found, "fget", None) or getattr(found, "__func__", found)
                yield module_name + "." + dotted, found, getattr(function, "__code__", None)


class _Guard:
    """Notices when the functions that an outcome passes through were exchanged."""

    def __init__(self) -> None:
        self._before = {name: (found, code) for name, found, code in _watched()}

    def changed(self) -> list[str]:
        now = {name: (found, code) for name, found, code in _watched()}
        return [
            name
            for name, (found, code) in self._before.items()
            if name not in now or now[name][0] is not found or now[name][1] is not code
        ]


def _pytest_plugin() -> dict[str, Callable[..., Any]]:
    """Hooks for pytest: outcomes as they are logged, checked against the exceptions that they come from."""
    import pytest
    from _pytest.runner import runtestprotocol

    said = _Statement("pytest")
    guard = _Guard()
    secret = os.urandom(16).hex()
    function: Any = pytest.Function

    def canary(beside: Any, following: Any) -> str:
        """A test that must fail, run by the same machinery as the others but not logged: does failing still count?"""

        def fail() -> None:
            raise AssertionError(secret)

        name = "test_" + os.urandom(4).hex()
        holder = beside.getparent(pytest.Module) or beside.session
        make = getattr(function, "from_parent", None)
        test = make(holder, name=name, callobj=fail) if make else function(name, holder, callobj=fail)
        reports = runtestprotocol(test, log=False, nextitem=following)
        calls = [report for report in reports if report.when == "call"]
        if len(calls) != 1:
            return "not run: " + " ".join(str(report.longrepr)[-200:] for report in reports if report.failed)
        return "failed" if calls[0].outcome == "failed" and secret in str(calls[0].longrepr) else calls[0].outcome

    @pytest.hookimpl(trylast=True)
    def pytest_configure(config: Any) -> None:
        plugins = getattr(config.option, "plugins", None)
        if plugins:
            config.option.plugins = [name for name in plugins if name != __name__]

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtestloop(session: Any) -> Any:
        items = session.items if not session.config.option.collectonly else []
        if items:
            said.canaries.append(canary(items[0], items[0]))
        yield
        if items:
            said.canaries.append(canary(items[-1], None))

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(item: Any, call: Any) -> Any:
        outcome = yield
        report = outcome.get_result()
        if call.excinfo is not None and report.outcome == "passed":
            said.faults.append(item.nodeid + " raised and was reported as passed")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(report: Any) -> None:
        if report.outcome == "skipped":
            said.add(report.nodeid, "XFAIL" if hasattr(report, "wasxfail") else "SKIPPED")
        elif report.outcome == "failed":
            said.add(report.nodeid, "FAILED" if report.when == "call" else "ERROR")
        elif report.outcome == "passed" and report.when == "call":
            said.add(report.nodeid, "XPASS" if hasattr(report, "wasxfail") else "PASSED")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(session: Any, exitstatus: Any) -> Any:
        yield
        said.faults += ["the test runner was changed: " + name for name in guard.changed()]
        said.send(int(getattr(session, "exitstatus", exitstatus)))

    return {
        hook.__name__: hook
        for hook in (
            pytest_configure, pytest_runtestloop, pytest_runtest_makereport, pytest_runtest_logreport,
            pytest_sessionfinish,
        )
    }  # fmt: skip


class _AfterImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Calls back when one of some modules has been executed."""

    def __init__(self, names: tuple[str, ...], then: Callable[[ModuleType], None]) -> None:
        self._names, self._then = names, then
        self._loaders: dict[str, Any] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname not in self._names or fullname in self._loaders:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        self._loaders[fullname], spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> Any:
        return self._loaders[spec.name].create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        loader = self._loaders[module.__name__]
        module.__loader__ = loader
        if module.__spec__ is not None:
            module.__spec__.loader = loader
        loader.exec_module(module)
        self._then(module)


def _wrapped(owner: Any, name: str, then: Callable[..., None]) -> None:
    """Have `then` called with the arguments of a method before it."""
    original = vars(owner).get(name)
    if original is None:
        return

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        then(self, *arguments)
        return original(self, *arguments, **named)

    setattr(owner, name, method)


def _watch_sympy(module: ModuleType) -> None:
    """Outcomes of sympy's own runner, which says them to its reporter. Claimed by the process that runs tests."""
    statements: list[_Statement] = []
    reporter: Any = getattr(module, "PyTestReporter", None)
    if reporter is None or reporter.__module__ != module.__name__:
        return
    current = [""]
    verdicts: list[bool] = []

    def start(self: Any, *arguments: Any) -> None:
        if not statements:
            statements.append(_Statement("sympy"))
            atexit.register(finish)

    def entering(self: Any, test: Any) -> None:
        current[0] = test.__name__

    def outcome(status: str) -> Callable[..., None]:
        def note(self: Any, *arguments: Any) -> None:
            for statement in statements:
                statement.add(current[0], status)

        return note

    _wrapped(reporter, "start", start)
    _wrapped(reporter, "entering_test", entering)
    for name, status in (
        ("test_pass", "PASSED"), ("test_xfail", "XFAIL"), ("test_xpass", "XPASS"), ("test_fail", "FAILED"),
        ("test_skip", "SKIPPED"), ("test_exception", "ERROR"), ("import_error", "ERROR"),
    ):  # fmt: skip
        _wrapped(reporter, name, outcome(status))
    ended = reporter.finish

    def finish_reporter(self: Any) -> Any:
        verdict = ended(self)
        verdicts.append(bool(verdict))
        return verdict

    reporter.finish = finish_reporter
    ours = {name: (value, getattr(value, "__code__", None)) for name, value in vars(reporter).items()}

    def finish() -> None:
        for statement in statements:
            for name, (value, code) in ours.items():
                now = vars(reporter).get(name)
                if now is not value or getattr(now, "__code__", None) is not code:
                    statement.faults.append("the test runner was changed: PyTestReporter." + name)
            statement.send((0 if all(verdicts) else 1) if verdicts else None)


def _watch_unittest() -> None:
    """Outcomes of unittest, and of Django's runner, which is built on it; the first process runs the tests."""
    import unittest

    said = _Statement("unittest")
    result = unittest.TestResult

    def note(status: str) -> Callable[..., None]:
        def added(self: Any, test: Any, *arguments: Any) -> None:
            said.add(str(test) + "\0" + (test.shortDescription() or ""), status)

        return added

    def subtest(self: Any, test: Any, part: Any, error: Any) -> None:
        if error is not None:
            said.add(str(test) + "\0" + (test.shortDescription() or ""), "FAILED")

    for name, status in (
        ("addSuccess", "PASSED"), ("addFailure", "FAILED"), ("addError", "ERROR"), ("addSkip", "SKIPPED"),
        ("addExpectedFailure", "XFAIL"), ("addUnexpectedSuccess", "FAILED"),
    ):  # fmt: skip
        _wrapped(result, name, note(status))
    _wrapped(result, "addSubTest", subtest)
    guard = _Guard()

    def finish() -> None:
        said.faults += ["the test runner was changed: " + name for name in guard.changed()]
        said.send(None)

    atexit.register(finish)


def _begin() -> None:
    with open(os.path.join(_HERE, "runner"), encoding="ascii") as file:  # noqa: PTH118, PTH123
        runner = file.read().strip()
    if runner == "pytest":
        globals().update(_pytest_plugin())
    elif runner == "unittest":
        _watch_unittest()
    elif runner == "sympy":
        names = ("sympy.testing.runtests", "sympy.utilities.runtests")
        sys.meta_path.insert(0, _AfterImport(names, lambda module: _watch_sympy(module)))


if os.path.exists(os.path.join(_HERE, "key")):  # noqa: PTH110, PTH118
    _begin()
