"""Keeps text from being read as a tokenizer's control tokens: no file and no tool can end a turn or begin one."""

import re

_CONTROL = re.compile(r"<\|(?=[A-Za-z0-9_]+\|>)")
"""The beginning of what a tokenizer may read as one of its control tokens, such as `<|im_end|>`."""

_NEUTRAL = "<\u200b|"
"""The same for the eye, a zero-width space within."""


def plain(text: str) -> str:
    """`text` without anything that a tokenizer takes for a control token: `<|im_end|>` becomes `<\\u200b|im_end|>`."""
    return _CONTROL.sub(_NEUTRAL, text) if "<|" in text else text
