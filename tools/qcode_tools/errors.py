"""Errors that the model reads."""


class ToolError(Exception):
    """For the model: one or a few lines that say what was wrong and what to do instead. Never ends the session."""
