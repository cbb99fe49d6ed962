"""Starts a run's stages for the verbs that do, and shows what they do and how they end."""

import os
from collections.abc import Sequence

import typer

from callbacks.shared import events
from callbacks.shared.events import newest
from callbacks.shared.journal import Entry, read_journal
from jobs.spec.errors import EXIT_TEMPORARY
from jobs.spec.find import typed_name
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage
from jobs.submit.pipeline import login_journal, run_locally, submit_jobs, wait_for_jobs
from jobs.submit.start import checked, create_run, from_saved_step, interrupted_stages, note_check

MLFLOW_SECONDS = 15.0
"""How long a run that was interrupted waits for MLflow to be told."""


def submit_run(spec: RunSpec, wait: bool = False, check: bool = True, force: bool = False) -> int:
    """Check and start a run; its exit code, or 0 once its jobs are submitted, unless they are waited for.

    Args:
        check: look before; False: only Slurm itself may object.
        force: run in spite of what the check finds; the journal says so.

    Raises:
        ConfigError: a check found an error; nothing was written.
    """
    found = checked(spec, force) if check else None
    for finding in found or []:
        if finding.level != "note":
            typer.echo(str(finding), err=True)
    spec = create_run(spec)
    note_check(spec, found)
    return start_run(spec, spec.stages, wait)


def start_run(spec: RunSpec, stages: Sequence[Stage], wait: bool) -> int:
    """Start stages of a run whose folder is written; the exit code as of `submit_run`."""
    return _submit(spec, stages, wait) if spec.profile.executor == "slurm" else _run_in_foreground(spec, stages)


def _submit(spec: RunSpec, stages: Sequence[Stage], wait: bool) -> int:
    """Submit the stages' jobs and say where to look; with `wait`, follow them to the run's exit code."""
    typer.echo(f"run folder: {spec.paths.run_dir}")
    for found in submit_jobs(spec, stages, login_journal(spec)):
        first = next(iter(found.job_parts))
        many = f" and {len(found.parts) - 1} more" if found.is_array else ""
        typer.echo(f"{found.stage:<9} job {found.job_id:<8} log {spec.paths.log(f'{found.stage}-{first}-0')}{many}")
    if "train" in stages and (saved := from_saved_step(spec)):
        typer.echo(f"train goes on{saved}")
    if not wait:
        typer.echo(_where_to_look(spec, []))
        typer.echo(f"to follow: regrow status {typed_name(spec)} · to end it: regrow cancel {typed_name(spec)}")
        return 0
    from jobs.cli.journal_view import following

    with following() as follow:
        exit_code = wait_for_jobs(spec, stages, follow)
    return _say_how_it_ended(spec, exit_code)


def _run_in_foreground(spec: RunSpec, stages: Sequence[Stage]) -> int:
    """Run the stages on this machine, showing what they do; the exit code of the run."""
    from jobs.cli.journal_view import following

    typer.echo(f"run folder: {spec.paths.run_dir}")
    login_journal(spec).write(events.Foreground(host=os.uname().nodename, pid=os.getpid()))
    try:
        with following() as follow:
            exit_code = run_locally(spec, stages, follow)
    except KeyboardInterrupt:
        return _say_what_is_left(spec, interrupted_stages(spec, stages))
    return _say_how_it_ended(spec, exit_code)


def _say_what_is_left(spec: RunSpec, left: Sequence[Stage]) -> int:
    """After Ctrl-C; nothing may be left, where it came at the very end."""
    if not left:
        return _say_how_it_ended(spec, 0)
    from jobs.tracking.sync import sync_soon

    sync_soon(spec, MLFLOW_SECONDS)
    typer.echo(f"{left[0]} is not finished; to go on{from_saved_step(spec)}: regrow resume {typed_name(spec)}")
    return EXIT_TEMPORARY


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
    attached = newest(entries, events.MlflowAttached)
    if uri.startswith("http") and attached:
        return f"{uri}/#/experiments/{attached.experiment_id}/runs/{attached.run_id}"
    return f"{uri}/#/experiments" if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
