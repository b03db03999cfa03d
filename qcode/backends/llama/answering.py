"""Answers requests in the engine's process: one thread each, the right slot, the stored start of the prompt."""

import sys
import threading
from collections.abc import Callable

from qcode.backends.llama.engine import Engine, EngineRefused, Outcome, Watcher
from qcode.backends.llama.prefix import PrefixStore
from qcode.backends.llama.protocol import Answer, Complete, Count, Counted, Done, Failed, Load, Progress, Text
from qcode.backends.llama.slots import Slot, SlotPool

SMALLEST_PREFIX = 64
"""Tokens; evaluating fewer costs no more than reading them from disk."""


class _Job:
    """A request on its way."""

    def __init__(self, request: Complete) -> None:
        self.request = request
        self.cancelled = threading.Event()


class Answering:
    """Starts, cancels and finishes requests; `send` may be called from any thread."""

    def __init__(
        self, engine: Engine, load: Load, *, store: PrefixStore | None, send: Callable[[Answer], None]
    ) -> None:
        self._engine = engine
        self._reserve = load.reserve
        self._store = store
        self._send = send
        self._pool = SlotPool(load.slots)
        self._jobs: dict[int, _Job] = {}
        self._priming = threading.Lock()

    def start(self, request: Complete) -> None:
        """Answer in a thread of its own."""
        job = self._jobs[request.id] = _Job(request)
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def cancel(self, id: int) -> None:
        """Stop an answer; nothing happens where it is already complete."""
        if job := self._jobs.get(id):
            job.cancelled.set()
            self._pool.leave(id)

    def count(self, request: Count) -> None:
        """Answer at once."""
        try:
            self._send(Counted(request.id, len(self._engine.tokens(request.text))))
        except (EngineRefused, OSError) as error:
            self._send(Failed(request.id, "internal", str(error)))

    def _run(self, job: _Job) -> None:
        try:
            answer = self._answer(job)
        except EngineRefused as error:
            answer = Failed(job.request.id, "refused", str(error))
        except Exception as error:
            print(f"request {job.request.id}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            answer = Failed(job.request.id, "internal", str(error))
        del self._jobs[job.request.id]
        self._send(answer)

    def _answer(self, job: _Job) -> Answer:
        request = job.request
        total = len(self._engine.tokens(request.prompt))
        room = self._engine.context - total
        if room < min(self._reserve, int(request.body["n_predict"])):
            text = f"the prompt has {total} tokens and leaves too little of the window of {self._engine.context}"
            return Failed(request.id, "overflow", text)
        slot = self._pool.acquire(request.prompt, owner=request.id)
        try:
            already_cached = self._prime(job, slot, total)
            body = {**request.body, "prompt": request.prompt, "n_predict": min(request.body["n_predict"], room)}
            answer: list[str] = []
            outcome = self._complete(job, slot, body=body, total=total, text=answer, known=already_cached)
            slot.text = request.prompt + "".join(answer)
        finally:
            self._pool.release(slot)
        cached = outcome.cached if already_cached is None else already_cached
        return Done(request.id, outcome.stop, total, cached, outcome.completion, outcome.timings)

    def _prime(self, job: _Job, slot: Slot, total: int) -> int | None:
        """Have the slot hold the prefix: from itself, from disk, or evaluated now and written to disk.

        Returns how much of the prompt was cached before, where this evaluated some of it, else None.
        """
        prefix = job.request.prefix
        if self._store is None or not prefix or slot.text.startswith(prefix):
            return None
        if len(self._engine.tokens(prefix)) < SMALLEST_PREFIX:
            return None
        # One at a time: whoever comes second with the same prefix finds it on disk.
        with self._priming:
            if self._restore(slot, prefix):
                slot.text = prefix
                return None
            slot.text = ""
            outcome = self._complete(job, slot, body={"prompt": prefix, "n_predict": 0}, total=total)
            if outcome.stop == "cancelled":
                return None
            slot.text = prefix
            self._save(slot, prefix)
        return outcome.cached

    def _complete(
        self,
        job: _Job,
        slot: Slot,
        *,
        body: dict[str, object],
        total: int,
        text: list[str] | None = None,
        known: int | None = None,
    ) -> Outcome:
        if job.cancelled.is_set():
            return Outcome()

        def progress(processed: int, cached: int) -> None:
            self._send(Progress(job.request.id, processed, total, cached if known is None else known))

        def more(piece: str) -> None:
            if text is not None:
                text.append(piece)
                self._send(Text(job.request.id, piece))

        watcher = Watcher(progress=progress, text=more, cancelled=job.cancelled.is_set)
        return self._engine.complete(body, slot=slot.index, watcher=watcher)

    def _restore(self, slot: Slot, prefix: str) -> bool:
        store = self._store
        if store is None or (path := store.find(prefix)) is None:
            return False
        try:
            self._engine.restore(slot.index, path.name)
        except (EngineRefused, OSError) as error:
            print(f"state of a prompt not read: {error}", file=sys.stderr, flush=True)
            store.forget(prefix)
            return False
        finally:
            store.used(prefix)
        return True

    def _save(self, slot: Slot, prefix: str) -> None:
        store = self._store
        if store is None:
            return
        try:
            self._engine.save(slot.index, store.draft().name)
            store.keep(prefix)
        except (EngineRefused, OSError) as error:
            # A full disk costs the next session some seconds, not this one its answer.
            print(f"state of a prompt not kept: {error}", file=sys.stderr, flush=True)
            store.discard_draft()
