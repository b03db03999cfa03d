"""A busy server is told from one that hangs."""

import asyncio

from qcode.serving.pulse import Pulse


class Server:
    """Counts what it is asked; `answers` and `tokens` are what it does."""

    def __init__(self, *, answers: bool, tokens: float | None) -> None:
        self.answers, self.tokens, self.works, self.asked = answers, tokens, False, 0

    async def asks(self, timeout_s: float) -> bool:
        self.asked += 1
        await asyncio.sleep(0 if self.answers else timeout_s)
        return self.answers

    async def counts(self) -> float | None:
        if self.works and self.tokens is not None:
            self.tokens += 1
        return self.tokens


async def rounds(server: Server, *, log: bool = False) -> bool:
    pulse = Pulse(server.asks, server.counts, every_s=0.01, hung_s=0.05)
    lost = False
    while server.asked < 4 and not lost:
        if log:
            pulse.sign()
        lost = pulse.lost()
        await asyncio.sleep(0.005)
    pulse.close()
    return lost


async def test_one_that_answers() -> None:
    assert not await rounds(Server(answers=True, tokens=None))


async def test_one_that_counts_tokens_is_busy() -> None:
    server = Server(answers=False, tokens=0.0)
    server.works = True
    assert not await rounds(server)


async def test_one_that_writes_its_log_is_busy() -> None:
    assert not await rounds(Server(answers=False, tokens=7.0), log=True)


async def test_one_that_does_nothing_hangs() -> None:
    assert await rounds(Server(answers=False, tokens=7.0))
    assert await rounds(Server(answers=False, tokens=None))
