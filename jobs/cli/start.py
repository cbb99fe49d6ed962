"""Starts a run's stages for submit, resume, evaluate and demo, and shows their progress and their end."""

import os
from collections.abc import Sequence

from callbacks.shared import events
from callbacks.shared.events import newest
from callbacks.shared.journal import Entry, read_journal
from jobs.cli.screen.say import say
from jobs.spec.errors import EXIT_TEMPORARY
from jobs.spec.find import name_to_type
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage
from jobs.submit.pipeline import login_journal, run_locally, submit_jobs, wait_for_jobs
from jobs.submit.start import checked, create_run, from_saved_step, interrupted_stages, note_check

MLFLOW_SECONDS = 15.0
"""After Ctrl-C, the time to post the rest to MLflow."""


def submit_run(spec: RunSpec, wait: bool = False, check: bool = True, force: bool = False) -> int:
    """Check and start a run.

    Args:
        wait: wait until the jobs have ended.
        check: run `regrow check` first; False: only Slurm itself may refuse the run.
        force: run despite errors of the check; the journal records them.

    Returns:
        The run's exit code; 0 without `wait`, once the jobs are submitted.

    Raises:
        ConfigError: a check found an error; nothing was written.
    """
    found = checked(spec, force) if check else None
    for finding in found or []:
        if finding.level != "note":
            say(str(finding), err=True)
    spec = create_run(spec, say_that_slurm_is_silent)
    note_check(spec, found)
    return start_run(spec, spec.stages, wait)


def start_run(spec: RunSpec, stages: Sequence[Stage], wait: bool) -> int:
    """Start stages of a run whose folder is written. The exit code is that of `submit_run`."""
    return _submit(spec, stages, wait) if spec.profile.executor == "slurm" else _run_in_foreground(spec, stages)


def _submit(spec: RunSpec, stages: Sequence[Stage], wait: bool) -> int:
    """Submit the stages' jobs and print where their output is. With `wait`, follow them; the run's exit code."""
    say(f"run folder: {spec.paths.run_dir}")
    for found in submit_jobs(spec, stages, login_journal(spec), say_that_slurm_is_silent):
        first = next(iter(found.job_parts))
        many = f" and {len(found.parts) - 1} more" if found.is_array else ""
        say(f"{found.stage:<9} job {found.job_id:<8} log {spec.paths.log(f'{found.stage}-{first}-0')}{many}")
    if "train" in stages and (saved := from_saved_step(spec)):
        say(f"train goes on{saved}")
    if not wait:
        say(_where_to_look(spec, []))
        name = name_to_type(spec)
        say(f"hint: `regrow status {name}` shows the run, `regrow cancel {name}` ends it")
        return 0
    from jobs.cli.screen.journal_view import following

    with following(spec) as follow:
        exit_code = wait_for_jobs(spec, stages, follow)
    return _say_how_it_ended(spec, exit_code)


def say_that_slurm_is_silent(error: str, pause: float) -> None:
    say(f"Slurm does not answer; the next try is in {pause:.0f} s: {error}", err=True)


def _run_in_foreground(spec: RunSpec, stages: Sequence[Stage]) -> int:
    """Run the stages on this machine and show their progress; the run's exit code."""
    from jobs.cli.screen.journal_view import following

    say(f"run folder: {spec.paths.run_dir}")
    login_journal(spec).write(events.Foreground(host=os.uname().nodename, pid=os.getpid()))
    try:
        with following(spec) as follow:
            exit_code = run_locally(spec, stages, follow)
    except KeyboardInterrupt:
        return _say_what_is_left(spec, interrupted_stages(spec, stages))
    return _say_how_it_ended(spec, exit_code)


def _say_what_is_left(spec: RunSpec, left: Sequence[Stage]) -> int:
    """After Ctrl-C, say which stage is not finished. If Ctrl-C came at the very end, all stages are finished."""
    if not left:
        return _say_how_it_ended(spec, 0)
    from jobs.tracking.sync import sync_soon

    sync_soon(spec, MLFLOW_SECONDS)
    say(f"{left[0]} is not finished\nhint: `regrow resume {name_to_type(spec)}` goes on{from_saved_step(spec)}")
    return EXIT_TEMPORARY


def _say_how_it_ended(spec: RunSpec, exit_code: int) -> int:
    from jobs.cli.screen.journal_view import print_scores

    entries = read_journal(spec.paths.journal)
    print_scores(spec, entries)
    say(_where_to_look(spec, entries))
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
    """The run's page in MLflow; if MLflow does not have the run yet, the page of all experiments."""
    uri = spec.profile.tracking_uri
    attached = newest(entries, events.MlflowAttached)
    if uri.startswith("http") and attached:
        return f"{uri}/#/experiments/{attached.experiment_id}/runs/{attached.run_id}"
    return f"{uri}/#/experiments" if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
