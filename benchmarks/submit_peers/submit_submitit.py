"""Submits the chain or the array by submitit. Arguments: chain|array FOLDER PARTITION COUNT."""

import sys
from typing import Any

import submitit


def nothing(number: int) -> None:
    """Do nothing: the work of each job."""


def executor(**more: Any) -> submitit.AutoExecutor:
    """A new executor for each job of the chain: a shared one would wait 0.2 s between two jobs."""
    new = submitit.AutoExecutor(folder, cluster="slurm")
    new.update_parameters(slurm_partition=partition, **more)
    return new


kind, folder, partition, count = sys.argv[1:]
if kind == "array":
    executor().map_array(nothing, range(int(count)))
else:
    job = executor().submit(nothing, 0)
    for number in range(1, int(count)):
        after = {"dependency": f"afterok:{job.job_id}"}
        job = executor(slurm_additional_parameters=after).submit(nothing, number)
