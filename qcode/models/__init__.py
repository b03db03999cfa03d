"""Which models there are, where their files are, and how they get here."""
