"""Syntax errors and symbols of source text, by tree-sitter, in a child process that can do nothing else."""
