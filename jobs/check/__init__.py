"""Checks before anything is queued: one file a check, each returns findings."""
