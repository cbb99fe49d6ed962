"""Records in, curriculum out: pure functions over files, without Slurm and (but for the tiny model) without torch."""
