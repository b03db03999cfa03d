"""How a command's work with containers ends when it is interrupted."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def interruptible(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's work; an interrupt or a termination ends it in order, with its containers.

    Raises: KeyboardInterrupt after that, and what the work raises.
    """
    try:
        return asyncio.run(_until_signalled(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_signalled(work: Coroutine[Any, Any, int]) -> int:
    from qcode.cli.signals import cancel_on_signals

    with cancel_on_signals(asyncio.current_task()):
        return await work
