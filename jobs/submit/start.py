"""What `regrow submit` does: check, write the run folder, start the stages; or show all of it in a dry run."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from callbacks.shared.journal import Entry, read_journal
from jobs.slurm import commands as slurm
from jobs.node.attempt import EXIT_TEMPORARY
from jobs.check.finding import Finding
from jobs.spec.errors import ConfigError
from jobs.slurm.sbatch import sbatch_text
from jobs.node.commands import Command, cpus_of, generate_command, preprocess_command, python_of, rank_commands
from jobs.submit.pipeline import login_journal, run_locally, submit_jobs, wait_for_jobs
from jobs.history.progress import parts_left, saved_step
from jobs.slurm.site import read_site
from jobs.spec.resolve import RunSpec, write_run
from jobs.spec.stages import Stage
from jobs.history.submissions import is_cancelled

MLFLOW_SECONDS = 15.0
"""A run that was interrupted waits so long for MLflow to be told."""


def submit_run(spec: RunSpec, wait: bool = False, check: bool = True, force: bool = False) -> int:
    """Check and run; the exit code of the run, or 0 once its jobs are submitted, unless they are waited for.

    Args:
        check: look before; False: only Slurm itself may object.
        force: run in spite of what the check finds; the journal says so.

    Raises:
        ConfigError: a check found an error; nothing was written.
    """
    found = _findings(spec) if check else []
    if not force and (errors := [str(finding) for finding in found if finding.level == "error"]):
        raise ConfigError("\n".join([*errors, "nothing was submitted; --force does it all the same"]))
    for finding in found:
        if finding.level != "note":
            typer.echo(str(finding), err=True)
    if spec.profile.executor == "slurm":
        spec = _with_site(spec)
    write_run(spec)
    _note_check(spec, found if check else None)
    return start(spec, wait)


def _findings(spec: RunSpec) -> list[Finding]:
    from jobs.check.report import check_run  # what looks into configs and data takes its time to import

    return check_run(spec, absent="error").findings


def start(spec: RunSpec, wait: bool) -> int:
    """Start all stages of a run whose folder is written; the exit code as of `submit_run`."""
    return (
        start_jobs(spec, spec.stages, wait)
        if spec.profile.executor == "slurm"
        else run_in_foreground(spec, spec.stages)
    )


def submit_evaluation(spec: RunSpec, wait: bool = False) -> int:
    """Start an evaluation; the exit code as of `submit_run`."""
    spec = _with_site(spec) if spec.profile.executor == "slurm" else spec
    write_run(spec)
    return start(spec, wait)


def _note_check(spec: RunSpec, found: list[Finding] | None) -> None:
    """Say in the journal what the check found and was overruled in, or that there was none."""
    levels = {} if found is None else {"errors": [f.code for f in found if f.level == "error"],
                                       "warnings": [f.code for f in found if f.level == "warning"]}  # fmt: skip
    login_journal(spec).event("checked" if found is not None else "check_skipped", **levels)


def _with_site(spec: RunSpec) -> RunSpec:
    slurm.use_cluster(spec.profile.slurm_conf)
    try:
        site = read_site()
    except ConfigError as error:
        raise ConfigError(f"{error}\nUse --cluster local, or --dry-run to see the jobs") from None
    facts = site.facts({stage: spec.profile.parameters(stage).get("slurm_partition") for stage in spec.stages})
    return spec.model_copy(update={"site": facts})


def start_jobs(spec: RunSpec, stages: Sequence[Stage], wait: bool) -> int:
    """Submit the stages' jobs and say where to look; with `wait`, follow them to the run's exit code."""
    typer.echo(f"run folder: {spec.paths.run_dir}")
    for found in submit_jobs(spec, stages, login_journal(spec)):
        first = next(iter(found.job_parts))
        many = f" and {len(found.parts) - 1} more" if found.is_array else ""
        typer.echo(f"{found.stage:<9} job {found.job_id:<8} log {spec.paths.log(f'{found.stage}-{first}-0')}{many}")
    if "train" in stages and (saved := _saved(spec)):
        typer.echo(f"train goes on{saved}")
    if not wait:
        typer.echo(_where_to_look(spec, []))
        typer.echo(f"to follow: regrow status {spec.typed} · to end it: regrow cancel {spec.typed}")
        return 0
    from jobs.cli.journal_view import following

    with following() as follow:
        exit_code = wait_for_jobs(spec, stages, follow)
    return _say_how_it_ended(spec, exit_code)


def _saved(spec: RunSpec) -> str:
    """` from step N`, where there is one."""
    step = saved_step(read_journal(spec.paths.journal))
    return f" from step {step:,}" if step else ""


def run_in_foreground(spec: RunSpec, stages: Sequence[Stage]) -> int:
    """Run the stages on this machine, showing what they do; the exit code of the run."""
    from jobs.cli.journal_view import following

    typer.echo(f"run folder: {spec.paths.run_dir}")
    login_journal(spec).event("foreground", host=os.uname().nodename, pid=os.getpid())
    try:
        with following() as follow:
            exit_code = run_locally(spec, stages, follow)
    except KeyboardInterrupt:
        if not (left := _left(spec, stages)):
            return _say_how_it_ended(spec, 0)
        from jobs.tracking.sync import sync_soon

        sync_soon(spec, MLFLOW_SECONDS)
        typer.echo(f"{left[0]} is not finished; to go on{_saved(spec)}: regrow resume {spec.typed}")
        return EXIT_TEMPORARY
    return _say_how_it_ended(spec, exit_code)


def _left(spec: RunSpec, stages: Sequence[Stage]) -> list[Stage]:
    """What a run that was interrupted has not done; the journal says that it was, also where that came between two stages."""
    entries = read_journal(spec.paths.journal)
    left = [stage for stage in stages if parts_left(spec, entries, stage)]
    if left and not is_cancelled(entries):
        login_journal(spec).event("cancel_requested", job_ids=[])
    return left


def _say_how_it_ended(spec: RunSpec, exit_code: int) -> int:
    from jobs.cli.journal_view import print_scores

    entries = read_journal(spec.paths.journal)
    print_scores(spec, entries)
    typer.echo(_where_to_look(spec, entries))
    return exit_code


def _where_to_look(spec: RunSpec, entries: list[Entry]) -> str:
    if not spec.has_own_mlflow_run:
        return f"report       {spec.paths.report_page}\npredictions  {spec.paths.evaluations}"
    return "\n".join(
        [
            f"report       {spec.paths.report_page}",
            f"predictions  {spec.paths.evaluations}",
            *([] if spec.evaluation else [f"adapter      {spec.paths.checkpoints}"]),
            f"MLflow       {_mlflow_place(spec, entries)}",
            f"             experiment {spec.regrow.mlflow.experiment}, run {spec.name}",
        ]
    )


def _mlflow_place(spec: RunSpec, entries: list[Entry]) -> str:
    """Where to look; a run that is not there yet has no page of its own."""
    uri = spec.profile.tracking_uri
    attached = [entry for entry in entries if entry["event"] == "mlflow_attached"]
    if uri.startswith("http") and attached:
        return f"{uri}/#/experiments/{attached[-1]['experiment_id']}/runs/{attached[-1]['run_id']}"
    return f"{uri}/#/experiments" if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"


def dry_run_text(spec: RunSpec) -> tuple[str, bool]:
    """What would run, as text: the findings, each stage's sbatch file and command; and whether one is an error."""
    from jobs.check.report import check_run

    report = check_run(spec)
    return "\n".join([*map(str, report.findings), *job_texts(spec)]), bool(report.errors)


def job_texts(spec: RunSpec) -> list[str]:
    """Where a run goes, and each stage's sbatch file and command."""
    parts = []
    parts.append(
        f"run folder: {spec.paths.run_dir}\nprepared:   {spec.prepared or '<known once the sources are there>'}"
    )
    for stage in spec.stages:
        if spec.profile.executor == "slurm":
            parts.append(f"# ---- {stage}: sbatch file\n{sbatch_text(spec, stage, sys.executable)}")
        commands = _commands(spec, stage)
        more = len(commands) - 1
        alike = (
            "ranks 1 to {} alike, RANK and LOCAL_RANK counting up" if stage == "train" else "array tasks 1 to {} alike"
        )
        others = f"; {alike.format(more)}" if more else ""
        parts += [f"# ---- {stage}: on the node{others}\n{_shown(command)}" for command in commands[:1]]
    return parts


def _commands(spec: RunSpec, stage: Stage) -> list[Command]:
    """The processes that a stage starts, with placeholders for what is known only on the node."""
    python, stem = python_of(spec, sys.executable), str(spec.paths.journal / f"{stage}-JOBID-0")
    cpus = cpus_of(spec, stage)
    match stage:
        case "prepare":
            return [preprocess_command(spec, python, stem, cpus)]
        case "train":
            return rank_commands(spec, python, stem, None, 29500, cpus, Path("TMPDIR/regrow-train-JOBID-0/stop"))
        case "evaluate":
            return [generate_command(spec, python, stem, part) for part in range(spec.parts(stage))]
        case "report":
            return []


def _shown(command: Command) -> str:
    assignments = [f"{key}={shlex.quote(value)}" for key, value in command.environment.items()]
    return " ".join(["env", *assignments, shlex.join(command.arguments)])
