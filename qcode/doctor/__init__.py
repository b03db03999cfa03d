"""Examines a model and what serves it, for real: a battery of small requests, each failure with what to change."""
