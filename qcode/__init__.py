"""qcode: a coding agent on Qwen3-Coder that runs on the user's own machine."""

__version__ = "0.1.0"
