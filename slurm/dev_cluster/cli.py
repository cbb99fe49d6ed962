"""`regrow dev-cluster`: its command line."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from dev_cluster.cluster import DEFAULT_FOLDER, DevCluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.site import Site

app = typer.Typer(help="A real Slurm on this machine, to try things on.", no_args_is_help=True, rich_markup_mode=None)
Folder = Annotated[Path, typer.Option(help="The cluster's own folder; slurm/dev.yml expects the default.")]


@app.command()
def up(
    folder: Folder = DEFAULT_FOLDER,
    user_signal: Annotated[bool, typer.Option(help="Preempted jobs get their --signal first, or TERM alone.")] = True,
    proctrack: Annotated[
        Literal["linuxproc", "cgroup"], typer.Option(help="Signals reach the whole tree, or the srun task alone.")
    ] = "linuxproc",
    grace_time: Annotated[int, typer.Option(min=0, help="Seconds that a preempted job has left.")] = 10,
    preempt_mode: Annotated[Literal["REQUEUE", "CANCEL"], typer.Option(help="What becomes of it.")] = "REQUEUE",
    job_requeue: Annotated[bool, typer.Option(help="JobRequeue: jobs may be requeued by default.")] = True,
    accounting: Annotated[bool, typer.Option(help="slurmdbd, with a MariaDB of its own.")] = True,
    max_array_size: int = 1001,
    task_affinity: Annotated[bool, typer.Option(help="Bind tasks to CPUs.")] = False,
) -> None:
    """Bring it up, in seconds, unless it is up. Two nodes with four GPUs that are not there, one CPU node."""
    site = Site(
        user_signal=user_signal,
        proctrack=proctrack,
        grace_time=grace_time,
        preempt_mode=preempt_mode,
        job_requeue=job_requeue,
        accounting=accounting,
        max_array_size=max_array_size,
        task_affinity=task_affinity,
    )
    exit_on_signals()  # half a cluster is taken down again
    cluster = DevCluster(folder.expanduser().resolve())
    typer.echo("the dev cluster is up" if cluster.up(site) else "the dev cluster was up already")
    typer.echo(f"for squeue and the others, type: export SLURM_CONF={cluster.conf}")


@app.command()
def down(folder: Folder = DEFAULT_FOLDER) -> None:
    """End it, and every job on it. Runs keep what they have written."""
    there = DevCluster(folder.expanduser().resolve()).down()
    typer.echo("the dev cluster is down" if there else "there was no dev cluster")


@app.command()
def status(folder: Folder = DEFAULT_FOLDER) -> None:
    """Its nodes and jobs. Exits 1 when it is down."""
    cluster = DevCluster(folder.expanduser().resolve())
    if cluster.site is None or not cluster.is_answering():
        typer.echo("the dev cluster is down; type: regrow dev-cluster up")
        raise typer.Exit(1)
    typer.echo(" ".join(f"{key}={value}" for key, value in asdict(cluster.site).items()))
    typer.echo(cluster.run("sinfo").stdout)
    typer.echo(cluster.run("squeue").stdout, nl=False)


@app.command()
def preempt(
    folder: Folder = DEFAULT_FOLDER,
    seconds: Annotated[float, typer.Option(min=0, help="How long the nodes stay taken.")] = 1,
) -> None:
    """Take the GPU nodes away, by a job of higher priority. Exits 1 when no job is on them."""
    cluster = DevCluster(folder.expanduser().resolve())
    hit = cluster.preemptable_jobs()
    if not hit:
        typer.echo("no job is on the GPU nodes: there is nothing to preempt", err=True)
        raise typer.Exit(1)
    typer.echo(f"job {cluster.preempt(seconds)} takes the nodes of {', '.join(hit)}")
