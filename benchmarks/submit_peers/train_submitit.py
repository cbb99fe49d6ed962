"""Submits a training that submitit requeues, as its users write it, and prints the job id. Arguments: FOLDER PARTITION CONFIG."""

import subprocess
import sys

import submitit
from submitit.helpers import DelayedSubmission


class Training:
    """Runs Axolotl in a child process, which resumes from its newest checkpoint by itself."""

    def __init__(self, config: str) -> None:
        self.config = config

    def __call__(self) -> None:
        subprocess.run([sys.executable, "-m", "axolotl.cli.train", self.config], check=True)

    def checkpoint(self) -> DelayedSubmission:
        """What to requeue: submitit calls this when the job is preempted."""
        return DelayedSubmission(self)


if __name__ == "__main__":
    folder, partition, config = sys.argv[1:]
    executor = submitit.AutoExecutor(folder, cluster="slurm")
    executor.update_parameters(
        slurm_partition=partition,
        gpus_per_node=1,
        cpus_per_task=2,
        timeout_min=60,
        slurm_srun_args=["--cpus-per-task=2"],
    )
    print(executor.submit(Training(config)).job_id)
