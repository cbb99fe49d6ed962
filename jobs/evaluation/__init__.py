"""Batch evaluation: models × shards, generated once, merged, scored, compared, posted."""
