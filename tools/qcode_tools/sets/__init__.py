"""The tool sets: what a model sees, over the same functions."""
