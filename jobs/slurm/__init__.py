"""The only callers of Slurm."""
