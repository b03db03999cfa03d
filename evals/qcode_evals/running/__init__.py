"""A run from its tasks to its output folder."""
