"""The command line: the only place that reads argv, prints, and chooses the exit code."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from dev_cluster.cli import app as dev_cluster_app
from dev_cluster.cluster import DevClusterError

from jobs.config_error import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.status import RunStatus

app = typer.Typer(
    help="Axolotl fine-tuning on Slurm that grows back after preemption.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Records: make synthetic ones, merge, audit.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")
app.add_typer(dev_cluster_app, name="dev-cluster")

Cluster = Annotated[str, typer.Option(help="A cluster profile: slurm/NAME.yml, or a path.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the config or the profile.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the jobs to their end, and exit as the run does.")]
Run = Annotated[str, typer.Argument(help="A run's name, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def submit(
    config: Annotated[Path, typer.Argument(help="An Axolotl config with a `regrow:` section.")],
    cluster: Cluster = "local",
    name: Annotated[str | None, typer.Option(help="The run's name. Default: config and time.")] = None,
    settings: Settings = [],  # noqa: B006 (typer's way to write a repeatable option)
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and start nothing.")] = False,
    wait: Wait = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Look first whether it can work; see regrow check.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Submit in spite of what the check finds.")] = False,
) -> None:
    """Prepare, train, evaluate and report CONFIG on a cluster."""
    from jobs.spec import load_run_spec
    from jobs.submit import dry_run_text, submit_run

    spec = load_run_spec(config, cluster, settings, name)
    if dry_run:
        text, has_errors = dry_run_text(spec)
        typer.echo(text)
        raise typer.Exit(2 if has_errors else 0)
    raise typer.Exit(submit_run(spec, wait, check, force))


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="An Axolotl config with a `regrow:` section.")],
    cluster: Annotated[
        str | None, typer.Option(help="A cluster profile: slurm/NAME.yml, or a path. Default: no site is looked at.")
    ] = None,
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Find what would waste the queue: wrong keys, untrained experts, too little memory, leaks, limits. Exits 2 at an error."""
    from jobs.check.finding import Finding, Place
    from jobs.check.report import CheckReport, check_run, report_json
    from jobs.spec import load_run_spec

    try:
        report = check_run(load_run_spec(config, cluster or "local", settings), with_site=cluster is not None)
    except ConfigError as error:
        wrong = Finding(
            "error",
            "schema.invalid",
            Place(str(config)),
            str(error),
            "nothing else can be looked at",
            "correct it first",
        )
        report = CheckReport([wrong])
    typer.echo(report_json(report) if as_json else str(report))
    raise typer.Exit(2 if report.errors else 0)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the synthetic records and the toy model go.")] = Path("data/demo"),
    seed: Annotated[int, typer.Option(help="Of the records, the model and the training.")] = 1,
    name: Annotated[str | None, typer.Option(help="The run's name. Default: config and time.")] = None,
    settings: Settings = [],  # noqa: B006
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Make the records and the model, no more.")
    ] = False,
) -> None:
    """The whole path on this machine: synthetic records, a toy model, training, evaluation, MLflow."""
    from jobs.demo import prepare_demo
    from jobs.paths import REPO_ROOT
    from jobs.spec import load_run_spec
    from jobs.submit import submit_run

    config, folder_settings = prepare_demo(folder, seed)
    if prepare_only:
        typer.echo(f"the records and the toy model of {config.relative_to(REPO_ROOT)} are in {folder}/seed{seed}")
        return
    spec = load_run_spec(config, "local", [*folder_settings, *settings], name)
    raise typer.Exit(submit_run(spec))


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(metavar="RUN|CHECKPOINT...", help="Runs, checkpoints, model folders.")],
    data: Annotated[Path, typer.Option(help="The records: a JSON array or JSON lines.")],
    shards: Annotated[int | None, typer.Option(min=1, help="Jobs for each model. Default: as the config says.")] = None,
    checkpoints: Annotated[str, typer.Option(help="Of a run: last, all, or so many of the newest.")] = "last",
    baseline: Annotated[str | None, typer.Option(metavar="RUN|CHECKPOINT", help="Compare the others with it.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Where the prompts come from. Default: the first run's config.")
    ] = None,
    cluster: Cluster = "local",
    name: Annotated[str | None, typer.Option(help="The evaluation's name. Default: evaluate and time.")] = None,
    settings: Settings = [],  # noqa: B006
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and start nothing.")] = False,
    wait: Wait = False,
) -> None:
    """Let models answer the records of a file, as one array of jobs; score, compare, and post to MLflow."""
    from jobs.evaluation.request import Request, evaluation_spec
    from jobs.submit import job_texts, submit_evaluation

    request = Request(models, data, cluster, settings, name, config, checkpoints, shards, baseline)
    spec = evaluation_spec(request)
    if dry_run:
        typer.echo("\n".join(job_texts(spec)))
        return
    raise typer.Exit(submit_evaluation(spec, wait))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, or RUN/MODEL of an evaluation of several.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What A is compared with.")],
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Compare two evaluated models: differences with intervals, tests, speed, memory, and the criteria of success."""
    from jobs.evaluation.compare_runs import compare_runs
    from jobs.spec import load_profile

    found = compare_runs(a, b, Path(load_profile(cluster, settings).runs_root))
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=1) if as_json else str(found))


@app.command()
def cancel(run: Run, cluster: Cluster = "local", settings: Settings = []) -> None:  # noqa: B006
    """Cancel a run's jobs. What is saved stays; `regrow resume` goes on from it."""
    from jobs.resume import cancel_run, find_run
    from jobs.spec import load_profile

    spec = find_run(run, Path(load_profile(cluster, settings).runs_root))
    cancelled = cancel_run(spec)
    typer.echo(f"cancelled jobs {', '.join(cancelled)}" if cancelled else f"{spec.name} has no jobs in the queue")


@app.command()
def resume(run: Run, cluster: Cluster = "local", settings: Settings = [], wait: Wait = False) -> None:  # noqa: B006
    """Submit what a run has not done yet, from where it stopped: same run, same MLflow run, new jobs."""
    from jobs.resume import find_run, resume_run
    from jobs.spec import load_profile

    spec = find_run(run, Path(load_profile(cluster, settings).runs_root))
    raise typer.Exit(resume_run(spec, wait))


@app.command()
def status(
    run: Annotated[str | None, typer.Argument(help="A run's name. Default: all runs, the newest first.")] = None,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """What the runs are doing."""
    from rich.console import Console
    from rich.table import Table

    from jobs.spec import load_profile
    from jobs.status import run_statuses

    runs_root = Path(load_profile(cluster, settings).runs_root)
    statuses = [status for status in run_statuses(runs_root) if run in (None, status.name)]
    if run and not statuses:
        raise ConfigError(f"{run}: no such run in {runs_root}; `regrow status` lists them")
    if as_json:
        typer.echo(json.dumps([status.to_dict() for status in statuses], ensure_ascii=False, indent=1))
        return
    table = Table("run", "state", "stage", "step", box=None)
    for status in statuses:
        step = f"{status.step}/{status.target_step}" if status.target_step is not None else ""
        table.add_row(status.name, status.state, status.stage, step)
    console = Console(highlight=False)
    console.print(table if statuses else f"no runs in {runs_root}")
    if run:
        _print_jobs(console, statuses[0])


def _print_jobs(console: "Console", status: "RunStatus") -> None:
    """A run's jobs, as Slurm has them, and what happened last."""
    from rich.table import Table

    if status.jobs:
        table = Table("stage", "job", "state", "attempts", "reason", box=None)
        for job in status.jobs:
            state = ", ".join(f"{count} {state}" for state, count in job.array_tasks.items()) or job.state
            table.add_row(job.stage, job.job_id, state, str(job.attempts), job.reason)
        console.print(table)
    if status.goodput is not None:
        lost = f"{status.steps_lost} steps done again" if status.steps_lost else "no step done again"
        console.print(f"goodput {status.goodput:.0%}, {lost}")
    if status.message:
        console.print(status.message, markup=False)


@data_app.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="Where the three files go.")],
    positives: Annotated[int, typer.Option(min=1, help="Training records with an offender.")] = 2000,
    negatives: Annotated[int, typer.Option(min=1, help="Training records without.")] = 6000,
    validation: Annotated[int, typer.Option(min=2, help="Validation records, half of each.")] = 200,
    seed: int = 1,
) -> None:
    """Write synthetic Japanese news records of the customer's form."""
    from data_prep.synthetic import write_synthetic

    for path in write_synthetic(
        folder, positives=positives, negatives=negatives, validation=validation, seed=seed
    ).values():
        typer.echo(path)


@data_app.command()
def merge(
    sources: Annotated[list[str], typer.Argument(metavar="FILE[:repeat=N][:take=N]...", help="In this order.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON array to write.")],
) -> None:
    """Concatenate sources of records, checked, in order, into one JSON array."""
    from data_prep.curriculum import input_bytes, meta_path, parse_sources
    from data_prep.curriculum import merge as merge_sources

    parsed = parse_sources(sources)
    with _byte_progress("merge", input_bytes(parsed)) as advance:
        merged = merge_sources(parsed, output, progress=advance)
    for source in merged.sources:
        typer.echo(f"{source.path}: {source.records:,} records x{source.repeat}")
    typer.echo(
        f"{output}: {merged.records:,} records, {merged.bytes:,} bytes, sha256 {merged.sha256} (also in {meta_path(output)})"
    )


@data_app.command()
def audit(
    train: Annotated[Path, typer.Argument(help="Records to train on.")],
    validation: Annotated[Path | None, typer.Argument(help="Records to validate with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count what is in the records: positives, negatives, invalid outputs, duplicates, leaks. Exits 1 at invalid outputs."""
    from callbacks.args import Target
    from data_prep.audit import audit as audit_files
    from jobs.audit_text import audit_text

    target = Target()
    total = sum(path.stat().st_size for path in (train, validation) if path and path.is_file())
    with _byte_progress("audit", total) as advance:
        found = audit_files(train, validation, list_field=target.list_field, name_field=target.name_field,
                            fields=target.fields, progress=advance)  # fmt: skip
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=1) if as_json else audit_text(found))
    raise typer.Exit(1 if found.train.invalid or (found.validation and found.validation.invalid) else 0)


@contextmanager
def _byte_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that counts bytes; gone when it is through."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda amount: progress.advance(task, amount)


def main() -> None:
    """Entry point. Errors of users are printed without a traceback; exit codes: 0, 1 failed, 2 usage or config, 75."""
    from data_prep.records import RecordError

    signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
    )  # so that a foreground run ends its jobs
    try:
        app()
    except (ConfigError, RecordError, DevClusterError) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
