"""Examples of what Python code should give, found in a task and its files, and run in a sandbox's own interpreter."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qcode.agent.examples import Example, examples_in_file, examples_in_task, merged
from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox

SECONDS_EACH = 3
"""Of processor time, so that a busy machine does not make right code wrong; code that waits has four times as long."""

_MOST_FILES = 3

# Runs in the sandbox's own Python. A module is imported by its dotted name, so that its relative imports work, else run
# as a script. Lists and tuples are alike: an issue often states values as JSON. Where nothing says what is right, equal
# values are shown alike. Each example has its own time.
_RUNNER = """
import importlib, itertools, json, os, re, runpy, signal, sys
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
def shown(value):
    if isinstance(value, (list, tuple)): return "[%s]" % ", ".join(map(shown, value))
    if isinstance(value, (set, frozenset)): return "{%s}" % ", ".join(sorted(map(shown, value)))
    if isinstance(value, dict): return "{%s}" % ", ".join(sorted(map(shown, value.items())))
    return repr(value)
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
        answers.append([error or "", error is None, error is not None])
        continue
    value, error = attempt(lambda: eval(code, names))
    if errors and error and error.startswith("NameError"): error = errors[0]
    if expected is None and hasattr(value, "__next__"):
        given = value
        value, error = attempt(lambda: list(itertools.islice(given, 200)))
    if error is None: text, error = attempt(lambda: repr(value) if expected is not None else shown(value))
    right = error is None and expected is not None and text == expected
    if error is None and expected is not None and not right:
        wanted, unread = attempt(lambda: eval(expected, {"__builtins__": {}}, {}))
        same, broken = attempt(lambda: bool(plain(value) == plain(wanted)))
        right = unread is None and broken is None and same
    answers.append([cut(error or text), right, error is not None])
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
    failed: bool = False
    """It gave no value at all."""


@dataclass(frozen=True, slots=True)
class Stated:
    """The examples of a task, and the paths of the modules that they are run with."""

    paths: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()

    async def try_out(
        self, sandbox: Sandbox, examples: Sequence[Example] | None = None, *, seconds_each: int = SECONDS_EACH
    ) -> list[Tried]:
        """These, or others, as they come out, in order; [] where that cannot be told. Raises: SandboxError."""
        chosen = self.examples if examples is None else examples
        if not self.paths or not chosen:
            return []
        given = json.dumps([self.paths, [[one.source, one.expected] for one in chosen], seconds_each])
        ran = await sandbox.exec(
            ["python3", "-B", "-W", "ignore", "-c", _RUNNER],
            timeout_s=4 * seconds_each * (len(chosen) + len(self.paths)) + 5,
            stdin=given.encode(),
        )
        try:
            answers = json.loads(ran.output)
            return [
                Tried(example, str(got), bool(right), bool(failed))
                for example, (got, right, failed) in zip(chosen, answers, strict=True)
            ]
        except (ValueError, TypeError, RecursionError):
            # The code that was tried runs in the same process and can write there what it likes.
            return []


async def stated(task: str, paths: Iterable[str], sandbox: Sandbox) -> Stated:
    """The examples of the task and of the Python files at the paths, as far as they are there. Raises: SandboxError."""
    examples = examples_in_task(task)
    there: list[str] = []
    for path in paths:
        if not path.endswith(".py") or len(there) == _MOST_FILES:
            continue
        try:
            data = await sandbox.read(path)
        except SandboxFileError:
            continue
        there.append(path)
        examples += examples_in_file(data.decode("utf-8", "replace"))
    return Stated(tuple(there), merged(examples))


def wrong(tried: Sequence[Tried]) -> int:
    """How many do not come out as they should, of those that say how."""
    return sum(not one.right for one in tried if one.example.expected is not None)
