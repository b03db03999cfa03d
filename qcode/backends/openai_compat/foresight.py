"""What is known of a prompt's length before it is sent, and what its answer says about the window.

A token is at least one byte of the body that carries it, so the bytes that came since the last answer are an upper
bound of the tokens that came; that settles nearly every request without a question.
"""

from collections import OrderedDict

from qcode.backends.openai_compat.servers import Server, larger_window

ROOM = 1024
"""Tokens that must be left for an answer."""

_BYTES_A_TOKEN = 8
"""More than any text has on average, so a lower bound of the tokens that came."""

_SHRUNK = 0.9
"""A prompt that grew and is said to be shorter than this share of what it was, was cut. Templates leave out a few
tokens of older messages."""

_CONVERSATIONS = 1024
"""That are followed at a time; of one that was forgotten, the next answer tells anew."""


class Foresight:
    """Follows the prompts of one conversation; sizes in tokens unless they are said to be bytes."""

    def __init__(self) -> None:
        self._tokens = 0
        self._bytes = 0

    def at_most(self, size: int) -> int:
        """An upper bound for a body of `size` bytes."""
        return self._tokens + size - self._bytes if self._tokens and size >= self._bytes else size

    def at_least(self, size: int) -> int:
        """A lower bound for a body of `size` bytes; 0 when nothing is known."""
        return self._tokens + (size - self._bytes) // _BYTES_A_TOKEN if self._tokens and size >= self._bytes else 0

    def heard(self, size: int, tokens: int) -> bool:
        """The server counted `tokens` in a body of `size` bytes. False: it did not see all of it."""
        if not tokens:
            return True
        whole = size < self._bytes or tokens >= _SHRUNK * self._tokens
        self._tokens, self._bytes = tokens, size
        return whole


class Foresights:
    """Of each conversation with a server: what one text comes to in tokens says nothing about another's."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, Foresight] = OrderedDict()

    def of(self, session: str) -> Foresight:
        """That of the conversation whose requests have this `Request.session`."""
        found = self._of.setdefault(session, Foresight())
        self._of.move_to_end(session)
        if len(self._of) > _CONVERSATIONS:
            self._of.popitem(last=False)
        return found


def cut_short(server: Server, model: str, url: str, tokens: int) -> str:
    """What to say to a user whose prompt was cut without a word."""
    more = larger_window(server, model, 32_768)
    return f"{url} cuts long prompts without saying so: it read {tokens} tokens of one that is longer; {more}"


def too_small(server: Server, model: str, url: str, window: int) -> str:
    """What to say to a user whose window is too small to work in."""
    more = larger_window(server, model, 32_768)
    return f"{url} gives the model a window of {window} tokens, too small to work in: {more}, or add --small-context"
