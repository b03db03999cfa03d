"""Rows of data sets, from whatever people keep them in."""
