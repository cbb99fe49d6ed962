"""Readers of the journal: what was submitted, done, spent, printed."""
