"""Completion of what is being typed: ranks in a thread, shows in the popup, puts in what is taken."""

import asyncio
import time
from collections.abc import Callable, Sequence

from qcode.ui.tui.complete import Choice, Token, matching, rank
from qcode.ui.tui.composer import Composer
from qcode.ui.tui.opening import Files
from qcode.ui.tui.popup import Popup

FRESH_S = 5.0
"""How long a listing of the files serves."""


class Completion:
    """One popup's content. A newer question makes the answer to an older one void."""

    def __init__(self, files: Files, commands: Callable[[], list[Choice]], popup: Popup) -> None:
        self._files = files
        self._commands = commands
        self._popup = popup
        self._listing: asyncio.Task[Sequence[str]] | None = None
        self._read_at = float("-inf")
        self._token: Token | None = None
        self._answered: Token | None = None
        self._left: Token | None = None
        self._search: asyncio.Task[None] | None = None
        self._number = 0

    def ask(self, token: Token | None) -> None:
        """The word at the cursor is this now."""
        if token is not None and token in (self._left, self._token):
            return
        self._left = None
        self._token = token
        self._number += 1
        if token is None:
            self._popup.offer([], "")
        elif token.kind == "command":
            self._answer(token, matching(token.query, self._commands()), "/")
        else:
            self._search = asyncio.create_task(self._find(token, self._number))

    def key(self, key: str, composer: Composer) -> bool:
        """Carry out a key of the popup, for the word that is at the cursor now; False where there is nothing to choose.
        What is not found yet for that word is not waited for."""
        token = composer.token
        if token is not None and token.kind == "command":
            self.ask(token)
        choice = self._popup.chosen
        if choice is None or token is None or (token != self._answered and key == "enter"):
            return False
        match key:
            case "take" if token != self._answered:
                pass
            case "up" | "down":
                self._popup.move(-1 if key == "up" else 1)
            case "leave":
                self._left, self._token = token, None
                self._popup.offer([], "")
            case "enter" if token.kind == "command" and token.query == choice.text:
                self._popup.offer([], "")
                composer.take()
            case _:
                self._popup.offer([], "")
                composer.complete(token, choice)
        return True

    def _answer(self, token: Token, choices: list[Choice], sign: str) -> None:
        self._answered = token
        self._popup.offer(choices, sign)

    async def _find(self, token: Token, number: int) -> None:
        if self._listing is None or (self._listing.done() and time.monotonic() - self._read_at > FRESH_S):
            self._listing = asyncio.create_task(self._list())
        listed = await self._listing
        names = await asyncio.to_thread(rank, token.query, listed, lambda: number != self._number)
        if number == self._number:
            self._answer(token, [Choice(name) for name in names[:50]], "@")

    async def _list(self) -> Sequence[str]:
        from qcode.errors import QcodeError

        try:
            return await asyncio.to_thread(self._files)
        except QcodeError:
            return ()
        finally:
            self._read_at = time.monotonic()
