"""Checks that find errors before a job is queued: one file for each check."""
