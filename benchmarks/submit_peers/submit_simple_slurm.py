"""Submits the chain or the array by simple_slurm. Arguments: chain|array FOLDER PARTITION COUNT."""

import sys

from simple_slurm import Slurm

kind, folder, partition, count = sys.argv[1:]
options = {"partition": partition, "output": f"{folder}/%j.out"}
if kind == "array":
    Slurm(array=range(int(count)), **options).sbatch("true")
else:
    job_id = Slurm(**options).sbatch("true")
    for _ in range(1, int(count)):
        job_id = Slurm(dependency={"afterok": job_id}, **options).sbatch("true")
