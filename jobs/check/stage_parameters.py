"""Parameters of the stages' jobs that cannot work, found without Slurm."""

from collections.abc import Iterator
from typing import Any

from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.slurm.sbatch import unknown_parameters
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import STAGES, Stage


def profile_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Findings about unknown parameters, wrong numbers, more than one task, and a warning longer than the time limit."""
    for stage, key, hint in unknown_parameters(spec):
        found, cost = "submitit has no such parameter", "the job cannot be submitted"
        yield Finding.error(
            "site.parameter",
            places.profile(stage, key),
            found=found,
            cost=cost,
            fix=hint,
        )
    for stage in STAGES:
        parameters = spec.profile.parameters(stage)
        for key in ("nodes", "tasks_per_node"):
            if parameters.get(key, 1) != 1:
                yield Finding.error(
                    "site.one-task",
                    places.profile(stage, key),
                    found=f"{parameters[key]}, but a stage is one task on one node",
                    cost="each task would start the whole stage",
                    fix=f"write {key}: 1; regrow starts one rank for each of gpus_per_node",
                )
        yield from _numbers(stage, parameters, places)
        yield from _srun(stage, parameters, places)
    limit, warning = spec.profile.train.get("timeout_min"), spec.profile.train.get("slurm_signal_delay_s", 90)
    if limit is not None and warning >= 60 * limit:
        yield Finding.error(
            "site.signal-delay",
            places.profile("train", "slurm_signal_delay_s"),
            found=f"{warning} s, but the time limit is {limit} min",
            cost="each attempt would be stopped at its start",
            fix="write a longer timeout_min, or a shorter slurm_signal_delay_s",
        )


def _srun(stage: Stage, parameters: dict[str, Any], places: Places) -> Iterator[Finding]:
    """Compare the CPUs of the job with those of its step: since Slurm 22.05, srun ignores the job's value."""
    for argument in parameters.get("slurm_srun_args", []):
        name, _, value = argument.partition("=")
        if name == "--cpus-per-task" and value != str(parameters.get("cpus_per_task")):
            found = f"{argument}, but cpus_per_task: {parameters.get('cpus_per_task')}"
            cost = "the processes could not use the CPUs that the job gets"
            yield Finding.warning(
                "site.srun-cpus",
                places.profile(stage, "slurm_srun_args"),
                found=found,
                cost=cost,
                fix="write the same number in both",
            )


def _numbers(stage: Stage, parameters: dict[str, Any], places: Places) -> Iterator[Finding]:
    least = {"timeout_min": 1, "cpus_per_task": 1, "mem_gb": 1, "gpus_per_node": 0, "slurm_signal_delay_s": 0}
    for key, minimum in least.items():
        value = parameters.get(key, minimum)
        if value < minimum:
            yield Finding.error(
                "site.value",
                places.profile(stage, key),
                found=f"found {value!r}",
                cost="Slurm would reject the job",
                fix=f"write {minimum} or more",
            )
