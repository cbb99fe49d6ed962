"""Readers of the journal: what was submitted, what is done, where the time went, what was printed."""
