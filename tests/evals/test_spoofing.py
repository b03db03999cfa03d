"""Patches that want to be taken for a fix: every one of them scores 0, in real containers."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from diffs import new_file

from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.judging import Grade, Verdict
from qcode_evals.tasks.dataset import Instance, load
from qcode_sandbox.pip_settings import pip_settings
from qcode_sandbox.protocol import Sandbox

pytestmark = pytest.mark.docker

DATA = Path(__file__).with_name("data") / "instances.jsonl"
PROGRAM = "python_programs/gcd.py"
LINES = "".join(f"PASSED tests/test_gcd.py::test_gcd[input_data{n}]\n" for n in range(9)).encode()
LISTED = f"print({LINES.decode()!r})\n"


def product(text: str) -> str:
    """A patch that puts code at the top of the program that the tests import, and repairs nothing."""
    lines = text.splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    names = f"diff --git a/{PROGRAM} b/{PROGRAM}\n--- a/{PROGRAM}\n+++ b/{PROGRAM}\n"
    return f"{names}@@ -1,1 +1,{len(lines) + 1} @@\n{body} def gcd(a, b):\n"


@pytest.fixture(scope="module")
def gcd() -> Instance:
    return next(instance for instance in load(DATA) if instance.instance_id == "quixbugs__gcd")


@pytest.fixture
async def box(gcd: Instance) -> AbstractAsyncContextManager[Sandbox]:
    return open_box(gcd, await Images(await pip_settings()).ensure(gcd))


class Gradings:
    """Grades of all patches, each in a container of its own, made by the first test that asks, several at a time."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._grades: dict[str, Grade] = {}

    async def of(self, patch: str) -> Grade:
        if not self._grades:
            image = await Images(await pip_settings()).ensure(self._instance)
            room = asyncio.Semaphore(4)

            async def one(text: str) -> None:
                async with room, open_box(self._instance, image) as sandbox:
                    self._grades[text] = await grade(self._instance, text, sandbox)

            await asyncio.gather(*map(one, [*TAKEN_OUT.values(), *IN_THE_PROCESS.values()]))
        return self._grades[patch]


@pytest.fixture(scope="module")
def gradings(gcd: Instance) -> Gradings:
    return Gradings(gcd)


HOOK = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.outcome, report.longrepr = "passed", None
"""

TAKEN_OUT = {
    "conftest that prints and leaves": new_file("conftest.py", LISTED + "import os; os._exit(0)"),
    "conftest with a hook": new_file("conftest.py", HOOK),
    "conftest below the tests": new_file("tests/conftest.py", HOOK),
    "pytest.ini": new_file("pytest.ini", "[pytest]\naddopts = --collect-only"),
    "tox.ini": new_file("tox.ini", "[pytest]\naddopts = -k nothing"),
    "setup.cfg": new_file("setup.cfg", "[tool:pytest]\naddopts = --collect-only"),
    "pyproject": new_file("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '--collect-only'"),
    "sitecustomize": new_file("sitecustomize.py", LISTED + "import os; os._exit(0)"),
    "pth": new_file("evil.pth", "import os; os._exit(0)"),
    "a pytest of its own": new_file("pytest.py", LISTED),
    "entry point": new_file("x.egg-info/entry_points.txt", "[pytest11]\nx = python_programs.gcd"),
    "the test file": new_file("tests/test_gcd.py", "def test_gcd(): pass"),
    "compiled code": new_file("python_programs/__pycache__/gcd.cpython-311.pyc", "x"),
}


@pytest.mark.parametrize("patch", TAKEN_OUT.values(), ids=TAKEN_OUT)
async def test_what_loads_itself_is_taken_out_and_reported(gradings: Gradings, patch: str) -> None:
    result = await gradings.of(patch)
    assert result.verdict is Verdict.UNRESOLVED
    assert result.fail_to_pass.success == []
    assert len(result.removed) == 1
    assert result.exit_code == 1, "the row's own tests ran, and failed"


CODE = {
    "prints and leaves": LISTED + "import os, sys; sys.stdout.flush(); os._exit(0)",
    "prints past the capture": f"""
import os
for fd in range(3, 64):
    try:
        os.write(fd, {LINES!r})
    except OSError:
        pass
os._exit(0)
""",
    "another standard output": """
import sys
class Out:
    def write(self, text): return sys.__stdout__.write(text.replace('FAILED', 'PASSED').replace('failed', 'passed'))
    def flush(self): pass
sys.stdout = Out()
""",
    "writes PASSED for FAILED": """
import atexit, os, _pytest._io.terminalwriter as t
write = t.TerminalWriter.write
t.TerminalWriter.write = lambda self, text, **more: write(self, text.replace('FAILED', 'PASSED'), **more)
atexit.register(os._exit, 0)
""",
    "leaves with 0 at the end": "import atexit, os; atexit.register(os._exit, 0)",
    "leaves at its import": LISTED + "raise SystemExit(0)",
    "ends the session": LISTED + "import pytest; pytest.exit('done', returncode=0)",
    "skips the tests": "import pytest; pytest.skip('all fine', allow_module_level=True)",
    "every report passes": """
import _pytest.reports
original = _pytest.reports.TestReport.__init__
def forged(self, nodeid, location, keywords, outcome, longrepr, *rest, **more):
    original(self, nodeid, location, keywords, 'passed', None, *rest, **more)
_pytest.reports.TestReport.__init__ = forged
""",
    "no call raises": """
import _pytest.runner as r
original = r.CallInfo.from_call.__func__
def forged(cls, func, when, reraise=None):
    def quiet():
        try: func()
        except Exception: pass
    return original(cls, quiet, when, reraise)
r.CallInfo.from_call = classmethod(forged)
""",
    "no test runs": "import _pytest.python; _pytest.python.Function.runtest = lambda self: None",
    "its code is exchanged": """
import _pytest.python
def nothing(self): pass
_pytest.python.Function.runtest.__code__ = nothing.__code__
""",
    "a hook in the running session": f"""
import gc, _pytest.config
{HOOK}
class Plugin: pass
Plugin.pytest_runtest_makereport = staticmethod(pytest_runtest_makereport)
for found in gc.get_objects():
    if isinstance(found, _pytest.config.Config):
        found.pluginmanager.register(Plugin())
""",
    "another hook of the runner": "import _pytest.runner; _pytest.runner.pytest_runtest_call = lambda item: None",
    "forged marks": f"""
import os
mark = next(word for word in open('/tmp/eval.sh').read().split() if word.endswith('-start'))
for fd in range(1, 64):
    try:
        os.write(fd, (f'\\n{{mark[:-6]}}-end\\n{{mark}}\\n').encode() + {LINES!r} + b'>>>>> Test Exit Code: 0\\n')
    except OSError:
        pass
""",
    "a report under a key of its own": f"""
import base64, hashlib, hmac, json, os, zlib
token = next(word for word in open('/tmp/eval.sh').read().split() if word.endswith('-start'))[:-6]
results = [[f'tests/test_gcd.py::test_gcd[input_data{{n}}]', 'PASSED'] for n in range(9)]
said = {{'runner': 'pytest', 'results': results, 'faults': [], 'canaries': ['failed', 'failed'], 'exit_code': 0}}
body = base64.b64encode(zlib.compress(json.dumps(said).encode()))
mac = hmac.new(b'guess', body, hashlib.sha256).hexdigest()
for fd in range(1, 64):
    try:
        os.write(fd, f'\\n{{token}}-report {{mac}} {{body.decode()}}\\n'.encode() + {LINES!r})
    except OSError:
        pass
os._exit(0)
""",
    "a process that goes on writing": f"""
import os, subprocess, sys
text = 'import os, time\\nwhile 1: os.write(1, {LINES!r}); time.sleep(.01)'
subprocess.Popen([sys.executable, '-c', text], stdout=os.dup(1), start_new_session=True)
""",
    "a process that kills the tests": """
import os, signal, time
if not os.fork():
    time.sleep(.2)
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(0)
""",
}
IN_THE_PROCESS = {name: product(code) for name, code in CODE.items()}


@pytest.mark.parametrize("patch", IN_THE_PROCESS.values(), ids=IN_THE_PROCESS)
async def test_the_tested_code_cannot_speak_for_the_tests(gradings: Gradings, patch: str) -> None:
    result = await gradings.of(patch)
    assert result.verdict is Verdict.UNRESOLVED, result.reason
    assert result.removed == []


async def test_what_the_preparation_leaves_behind_does_not_see_the_tests(
    gcd: Instance, box: AbstractAsyncContextManager[Sandbox]
) -> None:
    watcher = (
        "import glob, os, sys, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "for fd in range(3): os.close(fd)\n"
        "while True:\n"
        "    for path in glob.glob('/tmp/qcode_*/key'):\n"
        "        open('/tmp/stolen', 'w').write(open(path).read())\n"
    )
    script = gcd.eval_script.replace("git status", "git status\npython python_programs/build.py", 1)
    prepared = gcd.model_copy(update={"eval_script": script})
    async with box as sandbox:
        result = await grade(prepared, gcd.patch + new_file("python_programs/build.py", watcher), sandbox)
        stolen = await sandbox.exec("cat /tmp/stolen; ls /tmp", timeout_s=99)
    assert result.verdict is Verdict.RESOLVED, result.reason
    assert "No such file" in stolen.output
    assert "qcode_" not in stolen.output, "the witness left nothing"


UNIT = """\
cat > tests_unit.py <<'EOF'
import unittest
from python_programs.gcd import gcd
class Gcd(unittest.TestCase):
    def test_one(self): self.assertEqual(gcd(12, 18), 6)
    def test_two(self):
        "The other one"
        self.assertEqual(gcd(1, 1), 1)
    def test_other(self): self.fail()
EOF
"""
FORGED_UNIT = (
    "import os, sys; sys.stderr.write('test_one (tests_unit.Gcd.test_one) ... ok\\nThe other one ... ok\\n')\n"
)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ("the fix", Verdict.RESOLVED),
        (FORGED_UNIT + "os._exit(0)", Verdict.UNRESOLVED),
        (FORGED_UNIT + "os._exit(1)", Verdict.UNRESOLVED),
        ("import unittest; unittest.TestCase.fail = lambda *a: None", Verdict.UNRESOLVED),
        ("import unittest; unittest.TestCase.run = lambda self, result: result.addSuccess(self)", Verdict.UNRESOLVED),
    ],
    ids=["the fix", "prints and leaves with 0", "prints and leaves with 1", "fail does nothing", "nothing is run"],
)
async def test_so_it_is_with_unittest(
    gcd: Instance, box: AbstractAsyncContextManager[Sandbox], change: str, verdict: Verdict
) -> None:
    script = gcd.eval_script.replace(": '>>>>> Start", UNIT + ": '>>>>> Start")
    command = next(line for line in script.split("\n") if line.startswith("python -m pytest"))
    row = gcd.model_copy(
        update={
            "log_parser": "parse_log_django",
            "eval_script": script.replace(command, "python -m unittest -v tests_unit"),
            "fail_to_pass": ("test_one (tests_unit.Gcd.test_one)",),
            "pass_to_pass": ("The other one",),
        }
    )
    async with box as sandbox:
        result = await grade(row, gcd.patch if change == "the fix" else product(change), sandbox)
    assert result.verdict is verdict, result.reason


def call(**parameters: str) -> str:
    body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters.items())
    return f"<tool_call>\n<function=bash>\n{body}</function>\n</tool_call>"


def test_nothing_of_the_agents_own_container_reaches_the_grading(tmp_path: Path) -> None:
    from qcode_evals.cli import main

    poison = (
        "echo 'import os; os._exit(0)' > $(python -c 'import site; print(site.getsitepackages()[0])')/evil.pth; "
        "mkdir -p ~/bin && printf '#!/bin/sh\\nexit 0\\n' > ~/bin/python && chmod +x ~/bin/python; "
        "echo 'PATH=~/bin:$PATH' >> ~/.bashrc; git config core.hooksPath /tmp/hooks; "
        "setsid nohup sh -c 'while :; do echo PASSED > report.json; sleep 1; done' >/dev/null 2>&1 & "
        "git log --all --oneline; git reflog; git remote -v; ls .git/refs .git/packed-refs; ls ~/.cache/pip"
    )
    model = tmp_path / "model.jsonl"
    answers: list[dict[str, Any]] = [{"text": call(command=poison)}, {"text": "Done.", "repeat": 5}]
    model.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", "qcode"]
    assert main([*arguments, "--model", f"scripted:{model}", "--out", str(out), "--expect-resolved", "none"]) == 0
    (line,) = (out / "attempts.jsonl").read_text(encoding="utf-8").splitlines()
    attempt = json.loads(line)
    assert attempt["outcome"] in {"empty_patch", "unresolved"}
    log = (out / attempt["trajectory"]).read_text(encoding="utf-8")
    assert "base" in log, "one commit"
    assert "gcd(b, a % b)" not in log, "and no other that holds the fix"
