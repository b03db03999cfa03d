"""One run of the engine's process, seen from qcode: started, spoken to over pipes, watched, ended.

A thread starts the child and reads its answers until it ends; a second one writes, so that a child that does not read
never blocks the event loop. The child asks the kernel to be killed with the thread that started it, so that thread
must live as long as the child does.
"""

import asyncio
import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import IO

from qcode.backends.llama import protocol
from qcode.backends.llama.settings import EngineConfig
from qcode.errors import ModelFileError, QcodeError, Unavailable

_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "GGML_", "OMP_", "VK_", "ONEAPI_", "ZE_", "SYCL_")

_LOG_LIMIT = 1_000_000
"""Bytes; a longer log of earlier runs is started anew."""

_GRACE_S = 3.0
"""How long the process may take to end once its input has ended."""


class EngineDied(Exception):
    """The process ended, or was ended because it hung; its text says how."""


class Conversation:
    """The answers to one request, in order."""

    def __init__(self, give_up: Callable[[str], EngineDied]) -> None:
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._answers: asyncio.Queue[protocol.Answer | EngineDied] = asyncio.Queue()

    def deliver(self, answer: protocol.Answer | EngineDied) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop of a reader that is gone is closed
            self._loop.call_soon_threadsafe(self._answers.put_nowait, answer)

    async def next(self, silence_limit_s: float) -> protocol.Answer:
        """Wait for the next one; a process that is silent for too long is killed. Raises: EngineDied."""
        try:
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the answer.
            async with asyncio.timeout(silence_limit_s):
                answer = await self._answers.get()
        except TimeoutError:
            raise self._give_up(f"gave no sign of life for {silence_limit_s:g} s") from None
        if isinstance(answer, EngineDied):
            raise answer
        return answer


class EngineProcess:
    """Starts loading the model as soon as it is made. One that has died stays dead: make another."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._loaded: Future[protocol.Ready] = Future()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._conversations: dict[int, Conversation] = {}
        self._lock = threading.Lock()
        self._last_id = 0
        self._child: subprocess.Popen[bytes] | None = None
        self.died: EngineDied | None = None
        self._outgoing.put(protocol.encode(_load_message(config)))
        self._reader = threading.Thread(target=self._run, name="qcode-engine", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int | None:
        """Of the child, once it is started."""
        return self._child.pid if self._child else None

    async def ready(self) -> protocol.Ready:
        """Wait until the model is loaded. Raises: ModelFileError, Unavailable."""
        try:
            async with asyncio.timeout(self._config.load_limit_s):
                return await asyncio.shield(asyncio.wrap_future(self._loaded))
        except TimeoutError:
            text = f"did not load the model within {self._config.load_limit_s:.0f} s"
            raise Unavailable(f"{self.kill(text)}; see {self._config.log_path}") from None

    @contextlib.contextmanager
    def ask(self, request: protocol.Complete | protocol.Count) -> Iterator[Conversation]:
        """Send a request; leaving before its end cancels it. Raises: EngineDied."""
        conversation = Conversation(self.kill)
        with self._lock:
            if self.died:
                raise self.died
            self._conversations[request.id] = conversation
        self._outgoing.put(protocol.encode(request))
        try:
            yield conversation
        finally:
            with self._lock:
                unfinished = self._conversations.pop(request.id, None) is not None
            if unfinished and not self.died:
                self.cancel(request.id)

    def cancel(self, id: int) -> None:
        """Stop the answer to a request; its Done still comes, with what was written until then."""
        self._outgoing.put(protocol.encode(protocol.Cancel(id)))

    def next_id(self) -> int:
        """A number that no other request to this process has."""
        self._last_id += 1
        return self._last_id

    def kill(self, reason: str) -> EngineDied:
        """End it now; every request that waits on it learns the reason."""
        died = self._mark_dead(reason)
        if self._child:
            self._child.kill()
        return died

    def close(self) -> None:
        """End it, gently first; blocks for some seconds at most."""
        self._outgoing.put(None)
        self._reader.join(_GRACE_S)
        if self._reader.is_alive():
            self.kill("closed")
            self._reader.join(_GRACE_S)

    def _run(self) -> None:
        try:
            child = self._child = self._start()
        except OSError as error:
            self._mark_dead(f"could not be started: {error}")
            return
        if self.died:
            child.kill()
        assert child.stdin and child.stdout
        writer = threading.Thread(target=self._write, args=(child.stdin,), name="qcode-engine-input", daemon=True)
        writer.start()
        with child.stdout:
            for line in child.stdout:
                try:
                    self._dispatch(protocol.decode(line))
                except (ValueError, KeyError, TypeError):
                    self.kill("sent something that is no answer")
        code = child.wait()
        self._outgoing.put(None)
        writer.join()
        self._mark_dead(_ending(code))

    def _start(self) -> "subprocess.Popen[bytes]":
        with _open_log(self._config.log_path) as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "qcode.backends.llama.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=tempfile.gettempdir(),
                env=_environment(),
                # Ctrl-C in the terminal is for qcode, which then cancels or closes.
                start_new_session=True,
            )

    def _write(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError), stream:
            while (line := self._outgoing.get()) is not None:
                stream.write(line)
                stream.flush()

    def _dispatch(self, message: protocol.Message) -> None:
        match message:
            case protocol.Ready():
                with contextlib.suppress(InvalidStateError):
                    self._loaded.set_result(message)
            case protocol.NotLoaded():
                with contextlib.suppress(InvalidStateError):
                    self._loaded.set_exception(self._not_loaded(message))
            case protocol.Progress() | protocol.Text():
                if conversation := self._conversations.get(message.id):
                    conversation.deliver(message)
            case protocol.Done() | protocol.Failed() | protocol.Counted():
                with self._lock:
                    conversation = self._conversations.pop(message.id, None)
                if conversation:
                    conversation.deliver(message)
            case protocol.Load() | protocol.Complete() | protocol.Cancel() | protocol.Count():
                raise TypeError("a request came back")

    def _mark_dead(self, how: str) -> EngineDied:
        """The first word on how it ended stands."""
        with self._lock:
            if self.died:
                return self.died
            died = self.died = EngineDied(f"the engine {how}")
            waiting = list(self._conversations.values())
        for conversation in waiting:
            conversation.deliver(died)
        with contextlib.suppress(InvalidStateError):
            name = self._config.model_path.name
            self._loaded.set_exception(Unavailable(f"{died} while it loaded {name}; see {self._config.log_path}"))
        return died

    def _not_loaded(self, message: protocol.NotLoaded) -> QcodeError:
        if message.cause == "missing":
            return Unavailable(f"the local engine is not installed: pip install 'qcode[local]' ({message.text})")
        reason = _first_error(self._config.log_path) or message.text
        return ModelFileError(f"{self._config.model_path} cannot be loaded: {reason}")


def _load_message(config: EngineConfig) -> protocol.Load:
    return protocol.Load(
        model_path=str(config.model_path.absolute()),
        context=config.context,
        slots=config.slots,
        threads=config.threads or 0,
        gpu_layers=config.gpu_layers,
        batch=config.batch or 0,
        reserve=config.reserve,
        speculation=config.speculation,
        prefix_dir=str(config.prefix_cache_dir.absolute()) if config.prefix_cache_dir else None,
    )


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in _KEPT_VARIABLES or k.startswith(_KEPT_PREFIXES)}
    if paths := [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(path).is_absolute()]:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    # Waiting threads sleep instead of spinning: with two cores and one other busy process, spinning was measured to
    # cut generation from 20 tokens a second to less than one.
    # And a failed assertion in ggml shall not start a debugger on the process to print its stack.
    return {"OMP_WAIT_POLICY": "passive", **kept, "GGML_NO_BACKTRACE": "1"}


def _open_log(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if os.fstat(descriptor).st_size > _LOG_LIMIT:
        os.truncate(descriptor, 0)
    return os.fdopen(descriptor, "ab")


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"


def _first_error(log: Path) -> str | None:
    """The reason that llama.cpp gave last for not loading: its error lines look like `0.00.070.185 E where: what`."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    reasons = [line.partition(" E ")[2].partition(": ")[2] for line in lines if " E llama_model_load:" in line]
    return reasons[-1] if reasons else None
