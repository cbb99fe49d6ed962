"""The text that `--dry-run` prints: the findings, and each stage's sbatch file and command."""

import shlex
import sys

from jobs.node.commands import Command, generate_command, preprocess_command, rank_commands
from jobs.slurm.sbatch import sbatch_text
from jobs.spec.run_spec import RunSpec, cpus_of, python_of
from jobs.spec.stages import Stage


def dry_run_text(spec: RunSpec) -> tuple[str, bool]:
    """The text that `--dry-run` prints, and whether a finding is an error."""
    from jobs.check.report import check_run

    report = check_run(spec)
    return "\n".join([*map(str, report.findings), *job_texts(spec)]), bool(report.errors)


def job_texts(spec: RunSpec) -> list[str]:
    """The run's folders, and each stage's sbatch file and command."""
    parts = []
    parts.append(f"run folder: {spec.paths.run_dir}\nprepared:   {spec.prepared or '<known once the sources exist>'}")
    if spec.profile.slurm_clusters:
        parts.append(f"cluster:    {spec.profile.slurm_clusters} (SLURM_CLUSTERS for sbatch)")
    for stage in spec.stages:
        if spec.profile.executor == "slurm":
            parts.append(f"# ---- {stage}: sbatch file\n{sbatch_text(spec, stage, sys.executable)}")
        commands = _commands(spec, stage)
        more = len(commands) - 1
        alike = (
            "ranks 1 to {} are alike, but for RANK and LOCAL_RANK"
            if stage == "train"
            else "array tasks 1 to {} are alike"
        )
        others = f"; {alike.format(more)}" if more else ""
        parts += [f"# ---- {stage}: on the node{others}\n{_shown(command)}" for command in commands[:1]]
    return parts


def _commands(spec: RunSpec, stage: Stage) -> list[Command]:
    """The processes that a stage starts. Placeholders stand for values that only the node knows."""
    python, stem = python_of(spec, sys.executable), str(spec.paths.journal / f"{stage}-JOBID-0")
    cpus = cpus_of(spec, stage)
    match stage:
        case "prepare":
            return [] if spec.regrow.trainer else [preprocess_command(spec, python, stem, cpus)]
        case "train":
            return rank_commands(spec, python, stem, None, 29500, cpus, None)
        case "evaluate":
            return [generate_command(spec, python, stem, part) for part in range(spec.parts(stage))]
        case "report":
            return []


def _shown(command: Command) -> str:
    assignments = [f"{key}={shlex.quote(value)}" for key, value in command.environment.items()]
    return " ".join(["env", *assignments, shlex.join(command.arguments)])
