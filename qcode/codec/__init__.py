"""Text of a model to tool calls and back; no I/O and nothing heavy."""
