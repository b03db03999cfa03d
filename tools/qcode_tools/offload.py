"""Work of the processor that would keep the event loop waiting goes to a thread."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_LARGE = 200_000
"""Bytes or characters from which on a thread is worth its start."""

P = ParamSpec("P")
T = TypeVar("T")


async def compute(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a pure function over `size` bytes."""
    if size < _LARGE:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
