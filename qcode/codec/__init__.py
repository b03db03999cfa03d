"""Text of a model to tool calls and back; no I/O and nothing heavy.

`parse` reads a whole answer, `StreamParser` one that is still being written; `render` writes the prompt in the form of
Qwen3-Coder's chat template, and `grammar` holds an engine to that form.
"""

from qcode.codec.grammar import Grammar, Trigger, grammar
from qcode.codec.render import render
from qcode.codec.stream import StreamParser, parse
from qcode.codec.types import (
    ArgumentFinished,
    ArgumentText,
    CallFinished,
    CallStarted,
    CodecEvent,
    Parsed,
    ParsedCall,
    Problem,
    Text,
)

__all__ = [
    "ArgumentFinished",
    "ArgumentText",
    "CallFinished",
    "CallStarted",
    "CodecEvent",
    "Grammar",
    "Parsed",
    "ParsedCall",
    "Problem",
    "StreamParser",
    "Text",
    "Trigger",
    "grammar",
    "parse",
    "render",
]
