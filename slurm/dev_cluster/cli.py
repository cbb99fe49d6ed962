"""`regrow dev-cluster`: its command line."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from dev_cluster.cluster import DEFAULT_FOLDER, DevCluster
from dev_cluster.ownership import exit_on_signals
from dev_cluster.root import VERSIONS
from dev_cluster.site import Site

app = typer.Typer(help="Run a real Slurm on this machine, for trials.", no_args_is_help=True, rich_markup_mode=None)
Folder = Annotated[Path, typer.Option(help="Folder of the cluster; slurm/dev.yml expects the default.")]


@app.command()
def up(
    folder: Folder = DEFAULT_FOLDER,
    slurm: Annotated[
        str | None, typer.Option(help=f"Slurm's version, {', '.join(VERSIONS)}; default: this machine's own Slurm.")
    ] = None,
    user_signal: Annotated[bool, typer.Option(help="Send a preempted job its --signal first, or only TERM.")] = True,
    proctrack: Annotated[
        Literal["linuxproc", "cgroup"],
        typer.Option(help="Signals reach all processes of a job, or (cgroup) the srun task alone."),
    ] = "linuxproc",
    grace_time: Annotated[int, typer.Option(min=0, help="Seconds from the preemption of a job to its end.")] = 10,
    preempt_mode: Annotated[
        Literal["REQUEUE", "CANCEL", "SUSPEND"], typer.Option(help="What Slurm does with preempted jobs.")
    ] = "REQUEUE",
    preempt_type: Annotated[
        Literal["partition_prio", "qos"], typer.Option(help="What decides about the preemption of a job.")
    ] = "partition_prio",
    preempt_exempt: Annotated[int, typer.Option(min=0, help="Seconds in which a new job is not preempted.")] = 0,
    expedited_requeue: Annotated[
        bool, typer.Option(help="Start requeued jobs at once (--requeue=expedite; Slurm 25.11 and newer).")
    ] = False,
    job_requeue: Annotated[bool, typer.Option(help="Allow requeueing by default (JobRequeue).")] = True,
    accounting: Annotated[bool, typer.Option(help="Start slurmdbd with a MariaDB of its own.")] = True,
    max_array_size: Annotated[int, typer.Option(help="Slurm's MaxArraySize.")] = 1001,
    task_affinity: Annotated[bool, typer.Option(help="Bind tasks to CPUs.")] = False,
) -> None:
    """Start the dev cluster, unless it is up: two nodes with four simulated GPUs each, and one CPU node."""
    if slurm not in (None, *VERSIONS):
        raise typer.BadParameter(f"{slurm}: choose {', '.join(VERSIONS)}", param_hint="--slurm")
    site = Site(
        slurm=slurm,
        user_signal=user_signal,
        proctrack=proctrack,
        grace_time=grace_time,
        preempt_mode=preempt_mode,
        preempt_type=preempt_type,
        preempt_exempt=preempt_exempt,
        expedited_requeue=expedited_requeue,
        job_requeue=job_requeue,
        accounting=accounting,
        max_array_size=max_array_size,
        task_affinity=task_affinity,
    )
    exit_on_signals()  # half a cluster is taken down again
    cluster = DevCluster(folder.expanduser().resolve())
    typer.echo("the dev cluster is up" if cluster.up(site) else "the dev cluster was up already")
    typer.echo(f"hint: for squeue and other Slurm commands: export SLURM_CONF={cluster.conf} PATH={cluster.bin}:$PATH")


@app.command()
def down(folder: Folder = DEFAULT_FOLDER) -> None:
    """Stop the dev cluster and all its jobs. The runs keep their files."""
    there = DevCluster(folder.expanduser().resolve()).down()
    typer.echo("the dev cluster is down" if there else "there was no dev cluster")


@app.command()
def status(folder: Folder = DEFAULT_FOLDER) -> None:
    """Show nodes and jobs. Exit with 1 if the cluster is down."""
    cluster = DevCluster(folder.expanduser().resolve())
    if cluster.site is None or not cluster.is_answering():
        typer.echo("the dev cluster is down\nhint: `regrow dev-cluster up`")
        raise typer.Exit(1)
    typer.echo(" ".join(f"{key}={value}" for key, value in asdict(cluster.site).items() if value is not None))
    typer.echo(cluster.run("sinfo").stdout)
    typer.echo(cluster.run("squeue").stdout, nl=False)


@app.command()
def preempt(
    folder: Folder = DEFAULT_FOLDER,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds for which the nodes are taken away.")] = 1,
) -> None:
    """Preempt all jobs on the GPU nodes with a job of higher priority. Exit with 1 if there are none."""
    cluster = DevCluster(folder.expanduser().resolve())
    hit = cluster.preemptable_jobs()
    if not hit:
        typer.echo("no job runs on the GPU nodes; there is nothing to preempt", err=True)
        raise typer.Exit(1)
    typer.echo(f"job {cluster.preempt(seconds)} takes the nodes of {', '.join(hit)}")
