"""Submits the chain or the array by NeMo-Run, on the login node itself. Arguments: chain|array FOLDER PARTITION COUNT."""

import sys

import nemo_run

kind, folder, partition, count = sys.argv[1:]
executor = nemo_run.SlurmExecutor(
    account="bench",
    partition=partition,
    array=f"0-{int(count) - 1}" if kind == "array" else None,
    tunnel=nemo_run.LocalTunnel(job_dir=f"{folder}/experiments"),
    packager=nemo_run.Packager(),
)
with nemo_run.Experiment("bench", executor, base_dir=folder, skip_status_at_exit=True) as experiment:
    for _ in range(1 if kind == "array" else int(count)):
        experiment.add(nemo_run.Script(inline="true"), name="nothing")
    experiment.run(sequential=kind == "chain", detach=True)
