"""What `regrow submit` does: check, write the run folder, start the stages; or show all of it in a dry run."""

import shlex
import sys

from rich.console import Console

from callbacks.journal import Entry, read_journal
from jobs.check.files import file_findings
from jobs.check.finding import Finding, Level
from jobs.check.schema import schema_findings
from jobs.config_error import ConfigError
from jobs.executor import require_known_parameters, sbatch_text
from jobs.follow import following, metrics_table
from jobs.launch import Command, evaluate_command, preprocess_command, python_of, rank_commands
from jobs.pipeline import run_locally
from jobs.profile import STAGES, Stage
from jobs.spec import RunSpec, write_run


def findings(spec: RunSpec, absent: Level) -> list[Finding]:
    """All that the checks say. `absent`: the level of data or a model that is not there."""
    require_known_parameters(spec)
    return [*file_findings(spec, absent), *schema_findings(spec)]


def submit_run(spec: RunSpec) -> int:
    """Check and run; the exit code of the run.

    Raises:
        ConfigError: a check found an error; nothing was written.
    """
    found = findings(spec, absent="error")
    for finding in found:
        if finding.level != "error":
            Console(stderr=True).print(str(finding), markup=False, highlight=False)
    if errors := [str(finding) for finding in found if finding.level == "error"]:
        raise ConfigError("\n".join(errors))
    if spec.profile.executor == "slurm":
        raise ConfigError(
            f"--cluster {spec.cluster}: submission to Slurm is not built yet; add --dry-run to see the jobs, "
            "or use --cluster local"
        )
    write_run(spec)
    return _run_in_foreground(spec)


def _run_in_foreground(spec: RunSpec) -> int:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"run folder: {spec.paths.run_dir}")
    with following(console) as follow:
        exit_code = run_locally(spec, STAGES, follow)
    entries = read_journal(spec.paths.journal)
    console.print(metrics_table(entries))
    console.print(_where_to_look(spec, entries), markup=False)
    return exit_code


def _where_to_look(spec: RunSpec, entries: list[Entry]) -> str:
    run_ids = ["none", *(entry["run_id"] for entry in entries if entry["event"] == "mlflow_attached")]
    run_id = run_ids[-1]
    return "\n".join(
        [
            f"report       {spec.paths.report}",
            f"predictions  {spec.paths.predictions}",
            f"adapter      {spec.paths.checkpoints}",
            f"MLflow       experiment {spec.regrow.mlflow.experiment}, run {spec.name} ({run_id})",
            f"             type: mlflow ui --backend-store-uri {spec.profile.tracking_uri}",
        ]
    )


def dry_run_text(spec: RunSpec) -> tuple[str, bool]:
    """What would run, as text: the findings, each stage's sbatch file and command; and whether one is an error."""
    found = findings(spec, absent="note")
    parts = [str(finding) for finding in found]
    parts.append(
        f"run folder: {spec.paths.run_dir}\nprepared:   {spec.prepared or '<known once the sources are there>'}"
    )
    for stage in STAGES:
        if spec.profile.executor == "slurm":
            parts.append(f"# ---- {stage}: sbatch file\n{sbatch_text(spec, stage, sys.executable)}")
        commands = _commands(spec, stage)
        others = f"; ranks 1 to {len(commands) - 1} alike, RANK and LOCAL_RANK counting up" if len(commands) > 1 else ""
        parts += [f"# ---- {stage}: on the node{others}\n{_shown(command)}" for command in commands[:1]]
    return "\n".join(parts), any(finding.level == "error" for finding in found)


def _commands(spec: RunSpec, stage: Stage) -> list[Command]:
    """The processes that a stage starts, with placeholders for what is known only on the node."""
    python, stem = python_of(spec, sys.executable), str(spec.paths.journal / f"{stage}-JOBID-0")
    match stage:
        case "prepare":
            return [preprocess_command(spec, python, stem)]
        case "train":
            cpus = int(spec.profile.train.get("cpus_per_task") or 1)
            return rank_commands(spec, python, stem, None, port=29500, cpus=cpus)
        case "evaluate":
            return [evaluate_command(spec, python, stem)]
        case "report":
            return []


def _shown(command: Command) -> str:
    assignments = [f"{key}={shlex.quote(value)}" for key, value in command.environment.items()]
    return " ".join(["env", *assignments, shlex.join(command.arguments)])
