"""Tries the examples of a task after each change, and takes a change back that helped nothing.

For a small model: it changes one line at a time and is often wrong at first. A wrong change that stays, and a request
to run something, cost it more than they teach.
"""

import json
import posixpath
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from qcode.agent.examples import MOST, Example, examples_in_file, examples_in_task
from qcode.messages import ToolCall
from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.clean import visible
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect

RUNS = "python3 -c 'import code_of_the_repository'"
"""What trying examples comes to, for the policy."""

_SECONDS_EACH = 3
"""Of processor time, so that a busy machine does not make right code wrong; code that waits has four times as long."""

_MOST_FILES = 3
_SHOWN = 200

# Runs in the sandbox's own Python. A module is imported by its dotted name, so that its relative imports work, else run
# as a script. Lists and tuples are alike: an issue often states values as JSON. Each example has its own time.
_RUNNER = """
import importlib, json, os, re, runpy, signal, sys
paths, examples, seconds = json.load(sys.stdin)
out = os.fdopen(os.dup(1), "w")
nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 1)
os.dup2(nowhere, 2)
sys.path.insert(0, os.getcwd())
names = {}
class Late(BaseException): pass
def late(*_): raise Late()
signal.signal(signal.SIGALRM, late)
signal.signal(signal.SIGPROF, late)
def limit(seconds):
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(4 * seconds)
def plain(value):
    if isinstance(value, (list, tuple)): return [plain(one) for one in value]
    if isinstance(value, dict): return {key: plain(one) for key, one in value.items()}
    return value
def cut(text): return text if len(text) <= 400 else text[:400] + "..."
def attempt(work):
    limit(seconds)
    try: return work(), None
    except Late: return None, "ran for more than %d s" % seconds
    except SystemExit: return None, "exited"
    except BaseException as error: return None, cut(("%s: %s" % (type(error).__name__, error)).strip(": "))
    finally: limit(0)
def load(path):
    dotted = re.sub("/__init__$", "", path[:-3]).replace("/", ".")
    try: found = vars(importlib.import_module(dotted))
    except ImportError: found = runpy.run_path(path)
    names.update((key, value) for key, value in found.items() if not key.startswith("__"))
errors = [error for path in paths for _, error in [attempt(lambda: load(path))] if error]
answers = []
for source, expected in examples:
    try: code = compile(source, "example", "eval")
    except SyntaxError: code = None
    if code is None:
        _, error = attempt(lambda: exec(source, names))
        answers.append([error or "", error is None])
        continue
    value, error = attempt(lambda: eval(code, names))
    if errors and error and error.startswith("NameError"): error = errors[0]
    if error is None: text, error = attempt(lambda: repr(value))
    right = error is None and expected is not None and text == expected
    if error is None and expected is not None and not right:
        wanted, unread = attempt(lambda: eval(expected, {"__builtins__": {}}, {}))
        same, broken = attempt(lambda: bool(plain(value) == plain(wanted)))
        right = unread is None and broken is None and same
    answers.append([cut(error or text), right])
json.dump(answers, out)
out.flush()
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """One example as it came out: the value's text, or the error's."""

    example: Example
    got: str
    right: bool


class Trial:
    """The examples of one task. Without any that fails and says what it should give, nothing is tried or taken back."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._examples: list[Example] = []
        self._wrong = 0
        self.solved = False
        """Whether every example came out right after the last change."""

    async def prepare(self, task: str, paths: Iterable[str], sandbox: Sandbox) -> None:
        """Find the examples of the task and of the Python files that it names. Raises: SandboxError."""
        examples = examples_in_task(task)
        for path in paths:
            data = await _bytes(sandbox, path) if path.endswith(".py") else None
            if data is not None and len(self._paths) < _MOST_FILES:
                self._paths.append(path)
                examples += examples_in_file(data.decode("utf-8", "replace"))
        self._examples = list(dict.fromkeys(examples))[:MOST]
        if self._paths and any(example.expected is not None for example in self._examples):
            self._wrong = _wrong(await self._run(sandbox))

    async def around(
        self, call: ToolCall, effect: Effect, run: Callable[[], Awaitable[ToolResult]], sandbox: Sandbox
    ) -> ToolResult:
        """Run a call; if it is an edit, try the examples after it. Raises: SandboxError."""
        path = call.arguments.get("path")
        if not self._wrong or effect is not Effect.WRITE or not isinstance(path, str):
            return await run()
        before = await _bytes(sandbox, path)
        result = await run()
        if result.status is not Status.OK:
            return result
        tried = await self._run(sandbox)
        wrong = _wrong(tried)
        if not tried:
            return result
        if wrong < self._wrong:
            self._wrong, self.solved = wrong, wrong == 0
            return _with(result, _words(tried), solved=self.solved)
        await _put_back(sandbox, path, before)
        words = f"That did not solve it, so {posixpath.basename(path)} is as it was. With it:\n{_words(tried)}"
        return _with(result.model_copy(update={"status": Status.ERROR}), words, solved=False)

    async def _run(self, sandbox: Sandbox) -> list[Tried]:
        given = json.dumps([self._paths, [[one.source, one.expected] for one in self._examples], _SECONDS_EACH])
        ran = await sandbox.exec(
            ["python3", "-B", "-W", "ignore", "-c", _RUNNER],
            timeout_s=4 * _SECONDS_EACH * (len(self._examples) + len(self._paths)) + 5,
            stdin=given.encode(),
        )
        try:
            answers = json.loads(ran.output)
            return [
                Tried(example, str(got), bool(right))
                for example, (got, right) in zip(self._examples, answers, strict=True)
            ]
        except (ValueError, TypeError, RecursionError):
            # The code that was tried runs in the same process and can write there what it likes.
            return []


def _wrong(tried: list[Tried]) -> int:
    return sum(not one.right for one in tried if one.example.expected is not None)


def _words(tried: list[Tried]) -> str:
    wrong = [one for one in tried if one.example.expected is not None and not one.right]
    if not wrong:
        return "The examples of the task come out right now. Call finish."
    said = [f">>> {one.example.source}\ngives {_cut(one.got)}, and should give {one.example.expected}" for one in wrong]
    return "\n".join(said[:2])


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _with(result: ToolResult, words: str, *, solved: bool) -> ToolResult:
    extra = {**result.extra, "tried": True, "solved": solved}
    return result.model_copy(update={"content": f"{result.content}\n\n{visible(words)}", "extra": extra})


async def _bytes(sandbox: Sandbox, path: str) -> bytes | None:
    try:
        return await sandbox.read(path)
    except SandboxFileError:
        return None


async def _put_back(sandbox: Sandbox, path: str, before: bytes | None) -> None:
    if before is not None:
        await sandbox.write(path, before)
    else:
        await sandbox.exec(["rm", "-f", "--", path], timeout_s=10)
