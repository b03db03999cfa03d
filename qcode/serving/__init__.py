"""Servers that qcode starts: what fits this machine, the exact command, and a supervisor that keeps it up."""
