"""The engine's process: reads requests from stdin, writes answers to stdout, ends when its parent does.

`python -P -m qcode.backends.llama.child`; nothing else than qcode starts it.
"""

import os
import sys
import threading
from pathlib import Path
from typing import BinaryIO, assert_never

from qcode.backends.llama import protocol
from qcode.backends.llama.answering import Answering
from qcode.backends.llama.engine import Engine, EngineMissing, ModelNotLoaded
from qcode.backends.llama.liveness import die_with_parent
from qcode.backends.llama.prefix import PrefixStore, model_identity


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the protocol's pipes to ourselves: what native code prints must go to the log, which is stderr."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


class Outbox:
    """Writes whole lines, from any thread. A parent that is gone ends the process."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: protocol.Message) -> None:
        with self._lock:
            try:
                self._stream.write(protocol.encode(message))
                self._stream.flush()
            except OSError:
                os._exit(1)


def open_store(load: protocol.Load, engine: Engine) -> PrefixStore | None:
    """The states that fit this model, engine and context; None where none are kept or the folder cannot be had."""
    if not load.prefix_dir:
        return None
    identity = [model_identity(Path(load.model_path)), engine.version, engine.device, str(engine.context)]
    try:
        return PrefixStore(Path(load.prefix_dir), "\n".join(identity))
    except OSError as error:
        print(f"no states of prompts are kept: {error}", file=sys.stderr, flush=True)
        return None


def serve(requests: BinaryIO, outbox: Outbox) -> None:
    """Load the model that the first line names, then answer until the end of input."""
    load = protocol.decode(requests.readline())
    if not isinstance(load, protocol.Load):
        raise TypeError("the first message must be Load")
    try:
        engine = Engine(load)
    except EngineMissing as error:
        outbox.send(protocol.NotLoaded("missing", str(error)))
        return
    except ModelNotLoaded as error:
        outbox.send(protocol.NotLoaded("model", str(error)))
        return
    answering = Answering(engine, load, store=open_store(load, engine), send=outbox.send)
    details = {"xllamacpp": engine.version, "device": engine.device}
    outbox.send(protocol.Ready(engine.context, {**details, "speculation": "ngram" if engine.speculates else "off"}))
    for line in requests:
        match protocol.decode(line):
            case protocol.Complete() as request:
                answering.start(request)
            case protocol.Cancel(id=id):
                answering.cancel(id)
            case protocol.Count() as request:
                answering.count(request)
            case (
                protocol.Load() | protocol.Ready() | protocol.NotLoaded() | protocol.Progress() | protocol.Text()
                | protocol.Done() | protocol.Failed() | protocol.Counted()
            ) as unexpected:  # fmt: skip
                raise TypeError(f"not a request: {unexpected}")
            case never:
                assert_never(never)


def main() -> None:
    die_with_parent()
    os.umask(0o077)
    requests, answers = take_pipes()
    try:
        serve(requests, Outbox(answers))
    except Exception as error:
        print(f"engine process: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    # llama.cpp's threads may still be working, and its own shutdown waits for them.
    os._exit(0)


if __name__ == "__main__":
    main()
