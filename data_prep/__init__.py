"""Prepares records: merge, audit, synthetic data. Pure functions over files; no Slurm, and no torch except for the tiny model."""
