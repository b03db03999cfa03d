"""A session's log: events in, history out."""
