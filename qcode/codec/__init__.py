"""Text of a model to tool calls and back; no I/O and nothing heavy.

`parse` reads a whole answer, `StreamParser` one that is still being written; `render` writes the prompt in the form of
the models' chat templates, and `grammar` holds an engine to that form. docs/codec.md shows how.
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
    Dialect,
    Parsed,
    ParsedCall,
    Problem,
    ProblemKind,
    Recovered,
    Recovery,
    Text,
    ThinkingMode,
    ThinkingText,
)

__all__ = [
    "ArgumentFinished",
    "ArgumentText",
    "CallFinished",
    "CallStarted",
    "CodecEvent",
    "Dialect",
    "Grammar",
    "Parsed",
    "ParsedCall",
    "Problem",
    "ProblemKind",
    "Recovered",
    "Recovery",
    "StreamParser",
    "Text",
    "ThinkingMode",
    "ThinkingText",
    "Trigger",
    "grammar",
    "parse",
    "render",
]
