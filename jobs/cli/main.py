"""The command line: the only place that reads argv, prints, and chooses the exit code."""

import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from dev_cluster.cli import app as dev_cluster_app
from dev_cluster.cluster import DevClusterError

from jobs.spec.errors import ConfigError
from jobs.cli.data import app as data_app

app = typer.Typer(
    help="Axolotl fine-tuning on Slurm that grows back after preemption.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
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
    from jobs.spec.resolve import load_run_spec
    from jobs.submit.start import dry_run_text, submit_run

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
    """Find what would waste the queue. Wrong keys, untrained experts, too little memory, leaks, limits; exits 2 at an error."""
    from jobs.check.finding import Finding, Place
    from jobs.check.report import CheckReport, check_run, report_json
    from jobs.spec.resolve import load_run_spec

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
    """The whole path on this machine, on a toy scale. Synthetic records, a toy model, training, evaluation, MLflow."""
    from jobs.cli.demo import prepare_demo
    from jobs.spec.paths import REPO_ROOT
    from jobs.spec.resolve import load_run_spec
    from jobs.submit.start import submit_run

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
    """Let models answer the records of a file. One array of jobs; then scores, comparisons, MLflow."""
    from jobs.evaluation.request import Request, evaluation_spec
    from jobs.submit.start import job_texts, submit_evaluation

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
    """Compare two evaluated models. Differences with intervals, tests, speed, memory, and the criteria of success."""
    from jobs.evaluation.compare_runs import compare_runs
    from jobs.spec.resolve import load_profile

    found = compare_runs(a, b, Path(load_profile(cluster, settings).runs_root))
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=1) if as_json else str(found))


@app.command()
def cancel(run: Run, cluster: Cluster = "local", settings: Settings = []) -> None:  # noqa: B006
    """Cancel a run's jobs. What is saved stays; `regrow resume` goes on from it."""
    from jobs.submit.resume import cancel_run, find_run
    from jobs.spec.resolve import load_profile
    from jobs.tracking.sync import sync_soon

    spec = find_run(run, Path(load_profile(cluster, settings).runs_root))
    cancelled = cancel_run(spec)
    typer.echo(f"cancelled jobs {', '.join(cancelled)}" if cancelled else f"{spec.name} has no jobs in the queue")
    if cancelled and not sync_soon(spec, seconds=15):
        typer.echo(f"MLflow does not know of it yet; type: regrow sync {spec.typed}", err=True)


@app.command()
def resume(run: Run, cluster: Cluster = "local", settings: Settings = [], wait: Wait = False) -> None:  # noqa: B006
    """Submit what a run has not done, from where it stopped. The same run, the same MLflow run, new jobs."""
    from jobs.submit.resume import find_run, resume_run
    from jobs.spec.resolve import load_profile

    spec = find_run(run, Path(load_profile(cluster, settings).runs_root))
    raise typer.Exit(resume_run(spec, wait))


@app.command()
def logs(
    run: Run,
    stage: Annotated[
        str | None, typer.Option(help="prepare, train, evaluate or report. Default: that which started last.")
    ] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="Its first, second, … go. Default: the newest.")] = None,
    task: Annotated[int | None, typer.Option(min=0, help="Of an evaluation: the array task's part.")] = None,
    is_followed: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more comes, across requeues.")] = False,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
) -> None:
    """What the processes of a stage have printed."""
    from jobs.history.logs import LogFollower, Wanted, print_log
    from jobs.submit.resume import find_run
    from jobs.history.runs import may_go_on
    from jobs.spec.resolve import load_profile
    from jobs.spec.stages import STAGES

    known = next((each for each in STAGES if each == stage), None)
    if stage and not known:
        raise ConfigError(f"--stage {stage}: there is no such stage; the stages are {', '.join(STAGES)}")
    spec, wanted = find_run(run, Path(load_profile(cluster, settings).runs_root)), Wanted(known, attempt, task)
    if not is_followed:
        print_log(spec, wanted, sys.stdout.buffer, _say)
        return
    with suppress(KeyboardInterrupt):  # how one leaves
        LogFollower(spec, wanted, sys.stdout.buffer, _say).follow(may_go_on(spec))


def _say(text: str) -> None:
    """On stderr, so that what is piped on is the log alone."""
    typer.secho(f"==> {text}", err=True, dim=True)


@app.command()
def report(run: Run, cluster: Cluster = "local", settings: Settings = []) -> None:  # noqa: B006
    """Make a run's report anew, as far as the run has come."""
    from callbacks.shared.journal import read_journal
    from jobs.submit.pipeline import login_journal
    from jobs.node.report import results_so_far, write_report
    from jobs.submit.resume import find_run
    from jobs.spec.resolve import load_profile

    spec = find_run(run, Path(load_profile(cluster, settings).runs_root))
    typer.echo(write_report(spec, results_so_far(spec, read_journal(spec.paths.journal)), login_journal(spec)))


@app.command()
def sync(run: Run, cluster: Cluster = "local", settings: Settings = []) -> None:  # noqa: B006
    """Post to MLflow what it lacks of a run. Compares, and adds what an outage has kept from it."""
    from rich.console import Console

    from jobs.submit.pipeline import login_journal
    from jobs.submit.resume import find_run
    from jobs.spec.resolve import load_profile
    from jobs.tracking.sync import RunSync

    spec = find_run(run, Path(load_profile(cluster, settings).runs_root))
    try:
        with Console(stderr=True).status("MLflow"):
            posted = RunSync(spec, login_journal(spec)).post()
    except Exception as error:  # whatever MLflow raises is the user's to see
        typer.echo(
            f"{spec.profile.tracking_uri}: {type(error).__name__}: {error}\nNothing is lost; type it again", err=True
        )
        raise typer.Exit(1) from None
    typer.echo(", ".join(f"{count:,} {what}" for what, count in posted.items() if count) or "MLflow has everything")


@app.command()
def status(
    run: Annotated[
        str | None, typer.Argument(help="A run's name, or its folder. Default: all runs, the newest first.")
    ] = None,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
    is_watched: Annotated[
        bool, typer.Option("--watch", help="Keep it up to date, until Ctrl-C or the run's end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What the runs are doing."""
    from rich.console import Console

    from jobs.submit.resume import find_run_dir
    from jobs.history.runs import Runs
    from jobs.spec.resolve import load_profile
    from jobs.cli.status_screen import shown_runs, watch

    runs_root, console = Path(load_profile(cluster, settings).runs_root), Console(highlight=False)
    run_dir = find_run_dir(run, runs_root) if run else None
    runs = Runs(run_dir.parent, run_dir.name) if run_dir else Runs(runs_root)
    statuses = runs.statuses()
    if is_watched and (as_json or not console.is_terminal):
        raise ConfigError("--watch: this needs a terminal; a script asks for --json now and then")
    if as_json:
        found = [status.to_dict(with_attempts=run is not None) for status in statuses]
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
    elif is_watched:
        watch(console, runs.statuses, run)
    else:
        console.print(shown_runs(statuses, run) if statuses else f"no runs in {runs_root}")


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
