"""A real Slurm on one machine: two nodes of 4×A100 that are not there, one CPU node, and a site's ways as options."""
