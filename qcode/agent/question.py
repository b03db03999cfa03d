"""Whether the user only wants to know something.

A small model that is held to calls would take every word for a task and change the file that it is asked about, and it
cannot tell which it is: asked to choose, the 1.5B model rewrote the function in four of six questions.
"""

import re

_SENTENCE = re.compile(r"(?<=[.!?;\u3002\uff1f])\s+|\n+")
_ASKS = re.compile(r"[?\u061f\uff1f]['\")\]]*\Z")
_REQUEST = re.compile(
    r"\b(?:can|could|would|will|won't|may|might|shall|should) (?:you|we|i)\b|\bplease\b", re.IGNORECASE
)
_EXPLAIN = re.compile(r"(?:please |just |only |now )*(?:explain|describe|tell me|summari[sz]e|answer)\b", re.IGNORECASE)
_NO_CHANGE = re.compile(r"(?:do not|don't|no changes?|without chang|(?:change|edit|touch) nothing)\b", re.IGNORECASE)
_HOW = re.compile(r"(?:shortly|briefly|in|as|one|two|a few|at most|no more)\b", re.IGNORECASE)
"""How to answer, as in "One sentence." and "In English, please."."""


def is_question(words: str) -> bool:
    """Whether the last of these sentences asks, and asks for no change; what only says how to answer does not count.
    "Can you fix it?" is a task."""
    for sentence in reversed([part.strip() for part in _SENTENCE.split(words) if part.strip()]):
        if _EXPLAIN.match(sentence):
            return True
        if not _NO_CHANGE.match(sentence) and not _HOW.match(sentence):
            return _ASKS.search(sentence) is not None and _REQUEST.search(sentence) is None
    return False
