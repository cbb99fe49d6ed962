"""Turns a RunSpec into submitit jobs; the only user of submitit's executors."""

import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import submitit
from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError, JobPaths
from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

from jobs.slurm.answers import SILENT, last_line
from jobs.slurm.commands import SlurmCluster
from jobs.slurm.patience import Patience
from jobs.spec.entry_points import LAST_WORD, SHIELD
from jobs.spec.errors import ConfigError, NoAnswer, nearest
from jobs.spec.paths import REPO_ROOT
from jobs.spec.run_spec import RunSpec, python_of
from jobs.spec.stages import STAGES, Stage

JobEnvironment.USR_SIG = "USR2"
"""The signal that the shield blocks. submitit would take another one from the shell (SUBMITIT_PREEMPT_SIGNAL)."""
SHARED_PARAMETERS = frozenset(submitit.AutoExecutor._typed_parameters())
"""submitit's parameters for every executor."""
SLURM_PARAMETERS = frozenset(
    f"slurm_{name}"
    for name in inspect.signature(_make_sbatch_string).parameters
    if name not in ("command", "folder", "map_count")
)


_FORBID_REQUEUE = "scontrol update JobId=$SLURM_JOB_ID Requeue=0"
"""A shell command. Where requeues are expedited, Slurm would hold a job that fails, and the jobs that wait for it with it."""
_NOT_ASKED = ("--output", "--error", "--open-mode", "--signal", "--array")
"""Options that `sbatch --test-only` does not need: output files; and arrays, which are split by the site's limit."""


class SbatchFile(SlurmExecutor):
    """An executor that builds the sbatch file on a machine without Slurm, for a dry run."""

    @classmethod
    def affinity(cls) -> int:
        return 2


def sbatch_text(spec: RunSpec, stage: Stage, here: str) -> str:
    """The sbatch file of one stage, as submitit writes it, without the dependency, which is known only at submission."""
    executor = SbatchFile(spec.paths.slurm, python=shielded_python(spec, here))
    executor.update_parameters(**executor._convert_parameters(_slurm_parameters(spec, stage, here, None, None)))
    if (parts := spec.parts(stage)) > 1:
        executor.parameters["map_count"] = parts  # as SlurmExecutor does for an array
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "")
    return text


def sbatch_options(spec: RunSpec, stage: Stage) -> list[str]:
    """The options of a stage's sbatch file, for a command line."""
    lines = sbatch_text(spec, stage, sys.executable).splitlines()
    options = (line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH "))
    return [option for option in options if not option.startswith(_NOT_ASKED)]


@dataclass(frozen=True)
class Order:
    """Jobs of one stage that are to be submitted."""

    stage: Stage
    jobs: Sequence[Callable[[], None]]
    dependency: str | None
    """Slurm's expression, e.g. `afterok:4711`; None: the jobs may start at once."""
    token: str
    """A word that no other order has. It stands in the jobs' comments, and tells whether Slurm has them already."""


def submit_to_slurm(
    cluster: SlurmCluster, spec: RunSpec, order: Order, patience: Patience
) -> Iterator[tuple[str, list[int]]]:
    """Submit the jobs of one stage: one job alone, several as an array, more than the site's MaxArraySize as several arrays.

    If the controller does not answer, it may have accepted the jobs all the same. So they are looked for by their token before
    they are submitted again.

    Yields:
        The id of each job or array, and which of `jobs` it runs (an array's elements count from 0 in their order).

    Raises:
        ConfigError: sbatch rejected the job; the message has the reason.
        NoAnswer: the controller did not answer, and the patience is at its end.
    """
    jobs = order.jobs
    most = spec.site.max_array_size if spec.site else len(jobs)  # indices run from 0 to MaxArraySize - 1
    for first in range(0, len(jobs), most):
        indices = list(range(first, min(first + most, len(jobs))))
        array = replace(order, jobs=[jobs[index] for index in indices], token=f"{order.token}.{first}")
        yield _submit_once(cluster, spec, array, patience), indices


def _submit_once(cluster: SlurmCluster, spec: RunSpec, order: Order, patience: Patience) -> str:
    """The id of the new job or array, or of the one that Slurm already has."""
    while True:
        try:
            return _submit(cluster, spec, order)
        except NoAnswer as error:
            patience.pause(error)
        if (found := patience.ask(lambda: cluster.job_with(order.token))) is not None:
            return _adopt(spec, order, found)


def _submit(cluster: SlurmCluster, spec: RunSpec, order: Order) -> str:
    with _outside_of_jobs(cluster):
        executor = SlurmExecutor(spec.paths.slurm, python=shielded_python(spec, sys.executable))
        parameters = _slurm_parameters(spec, order.stage, sys.executable, order.dependency, order.token)
        executor.update_parameters(**executor._convert_parameters(parameters))
        try:
            with executor.batch():
                submitted = [executor.submit(job) for job in order.jobs]
            return str(submitted[0].job_id).partition("_")[0]
        except (FailedJobError, FailedSubmissionError) as error:
            if SILENT.search(str(error)):
                raise NoAnswer(f"sbatch: {last_line(str(error))}") from None
            said = "; ".join(line.removeprefix("sbatch: error: ") for line in str(error).strip().splitlines())
            raise ConfigError(f"{order.stage}: sbatch rejected the job: {said}") from None


def _adopt(spec: RunSpec, order: Order, job_id: str) -> str:
    """Give a job that sbatch did not know to be accepted what submitit gives a job: the file with its function."""
    for index, job in enumerate(order.jobs):
        own_id = f"{job_id}_{index}" if len(order.jobs) > 1 else job_id
        submitted = JobPaths(spec.paths.slurm, own_id).submitted_pickle
        DelayedSubmission(job).dump(submitted)
    return job_id


def shielded_python(spec: RunSpec, here: str) -> str:
    """A shell command that starts the node's Python through the shield, and without modules from the current folder."""
    python = python_of(spec, here)
    return shlex.join([python, "-I", "-S", str(SHIELD), python, "-P"])


def _slurm_parameters(
    spec: RunSpec, stage: Stage, here: str, dependency: str | None, token: str | None
) -> dict[str, Any]:
    """The profile's parameters under the names of SlurmExecutor (without prefix), and the parameters of every regrow job."""
    parameters = {key.removeprefix("slurm_"): value for key, value in spec.profile.parameters(stage).items()}
    if token:
        parameters["comment"] = " ".join(filter(None, [parameters.get("comment"), token]))
    return {
        "name": f"{spec.name}-{stage}",
        "stderr_to_stdout": True,
        "wckey": None,  # submitit's own default is one that a site may not know
        **parameters,
        "srun_args": _srun_arguments(parameters),
        "setup": [*spec.profile.setup, *parameters.pop("setup", []), *_own_setup(spec, stage, here)],
        "additional_parameters": {
            "requeue": "expedite" if spec.site and spec.site.expedited_requeue else True,  # also where JobRequeue=0
            **({"dependency": dependency, "kill-on-invalid-dep": "yes"} if dependency else {}),
            **parameters.get("additional_parameters", {}),
        },
    }


def _srun_arguments(parameters: Mapping[str, Any]) -> list[str]:
    """The profile's srun arguments, with the job's CPUs for its step: since Slurm 22.05, srun ignores the job's value."""
    arguments, cpus = list(parameters.get("srun_args", [])), parameters.get("cpus_per_task")
    is_said = any(argument.startswith(("--cpus-per-task", "-c")) for argument in arguments)
    return arguments if is_said or cpus is None else [f"--cpus-per-task={cpus}", *arguments]


def _own_setup(spec: RunSpec, stage: Stage, here: str) -> list[str]:
    """Shell lines that make this checkout's packages the only ones, and that record the end if the stage did not (75: it did)."""
    last_word = shlex.join([python_of(spec, here), "-P", "-m", LAST_WORD, str(spec.paths.run_dir), stage]) + " $code"
    if spec.site and spec.site.expedited_requeue:
        last_word += f" || {_FORBID_REQUEUE}"
    return [
        f"export PYTHONPATH={shlex.quote(str(REPO_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
        # The job is on that cluster, and asks its own controller.
        *(["unset SLURM_CLUSTERS"] if spec.profile.slurm_clusters else []),
        f"regrow_last_word() {{ code=$?; case $code in 0|75) ;; *) {last_word};; esac; }}",
        "trap regrow_last_word EXIT",
    ]


@contextmanager
def _outside_of_jobs(cluster: SlurmCluster) -> Iterator[None]:
    """Remove the environment variables of the job in which this process may run: sbatch would use them as options.

    submitit starts sbatch by itself, so the cluster too is set in the environment of this process, as long as it submits.
    """
    ours = ("SLURM", "SBATCH", "SUBMITIT", "PATH")
    inherited = {key: value for key, value in os.environ.items() if key.startswith(ours)}
    for key in inherited.keys() - {"SLURM_CONF", "SLURM_JWT", "PATH"}:
        del os.environ[key]
    os.environ.update(cluster.environment)
    try:
        yield
    finally:
        for key in [key for key in os.environ if key.startswith(ours)]:
            del os.environ[key]
        os.environ.update(inherited)


def unknown_parameters(spec: RunSpec) -> Iterator[tuple[Stage, str, str]]:
    """Stage parameters that submitit does not have: the stage, the parameter, and the nearest one."""
    known = SHARED_PARAMETERS | SLURM_PARAMETERS
    for stage in STAGES:
        for key in spec.profile.parameters(stage):
            if key not in known:
                yield stage, key, nearest(key, known)
