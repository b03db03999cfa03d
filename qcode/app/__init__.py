"""The composition root: what is wired to what."""
