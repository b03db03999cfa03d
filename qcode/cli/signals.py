"""Ctrl-C and its kin: the first ends the run in order, with its patch; a second one leaves without waiting for it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cancel_on_signals(task: "asyncio.Task[object] | None") -> Iterator[None]:
    """Turn interrupt, termination and hang-up into a cancellation of the task."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, lambda: task.cancel() if task is not None else None)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
