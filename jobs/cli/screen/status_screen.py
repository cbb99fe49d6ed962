"""`regrow status` on a terminal: all runs as a table, one run with its jobs; once, or kept up to date."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jobs.cli.screen.say import printable
from jobs.history.status import ENDED, JobStatus, RunStatus, duration

REFRESH_SECONDS = 2.0
SOON_SECONDS = 3600
"""A start within this time is shown as a duration, a later one as a date and time."""
STYLES = {"running": "green", "waiting": "yellow", "failed": "bold red", "lost": "bold red", "unreadable": "bold red",
          "unknown": "yellow", "cancelled": "dim", "finished": "dim"}  # fmt: skip


def all_runs(statuses: Sequence[RunStatus]) -> RenderableType:
    """One line per run. Below: the messages of the runs that have not ended, and of the newest run."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("run", "state", "stage"):
        table.add_column(
            name, no_wrap=True, min_width=max([len(status.name) for status in statuses] if name == "run" else [8])
        )
    for name in ("done", "left", "loss", "attempt", "saved", "goodput"):
        table.add_column(name, justify="right", no_wrap=True)
    for status in statuses:
        table.add_row(
            Text(printable(status.name)), Text(status.state, STYLES[status.state]), status.stage, *_figures(status)
        )
    return Group(table, *(_note(status) for status in statuses if status.message and _is_told(status, statuses[0])))


def _is_told(status: RunStatus, newest: RunStatus) -> bool:
    return status.state not in ENDED or status is newest


def _note(status: RunStatus) -> Text:
    return Text.assemble((f"{printable(status.name)}: ", "bold"), printable(status.message.partition("\n")[0]))


def _figures(status: RunStatus) -> list[str]:
    is_going = status.state not in ENDED
    return [
        _progress(status),
        "starting" if status.is_starting else duration(status.eta_seconds) if status.eta_seconds is not None else "",
        f"{status.loss:.3f}" if status.loss is not None else "",
        str(status.attempt or ""),
        duration(time.time() - status.saved_at) if status.saved_at and is_going else "",
        f"{status.goodput:.0%}" if status.goodput is not None else "",
    ]


def _progress(status: RunStatus) -> str:
    if status.target_records is not None:
        return f"{_count(status.records)}/{status.target_records:,}"
    return f"{_count(status.step)}/{status.target_step:,}" if status.target_step is not None else ""


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def one_run(status: RunStatus) -> RenderableType:
    """A run, its jobs as Slurm has them, and the last event."""
    parts: list[RenderableType] = [all_runs([replace(status, message="")])]
    if status.jobs:
        parts += [Text(), _jobs(status.jobs)]
    if status.goodput is not None:
        lost = f"{status.steps_lost} steps done again" if status.steps_lost else "no step done again"
        parts.append(Text(f"\ngoodput {status.goodput:.0%}, {lost}"))
    if status.message:
        parts.append(Text(printable(status.message)))
    if status.to_go_on:
        parts.append(Text(printable(f"hint: {status.to_go_on}")))
    return Group(*parts)


def _jobs(jobs: Sequence[JobStatus]) -> Table:
    table = Table("stage", "job", "state", "attempts", "why", "starts", box=None, header_style="bold", pad_edge=False)
    for job in jobs:
        state = ", ".join(f"{count} {state}" for state, count in job.array_tasks.items()) or job.state
        table.add_row(job.stage, job.job_id, state, str(job.attempts or ""), Text(printable(job.reason)), _start(job))
    return table


def _start(job: JobStatus) -> str:
    """When a pending job will start, by Slurm's estimate."""
    if job.start_time is None:
        return ""
    seconds = job.start_time - time.time()
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.start_time))
    return f"in {duration(max(0, seconds))}" if seconds < SOON_SECONDS else at


def shown_runs(statuses: Sequence[RunStatus], run: str | None) -> RenderableType:
    """The text for a terminal. `run`: the run that the user named; None: all runs."""
    return one_run(statuses[0]) if run else all_runs(statuses)


def watch(console: Console, look: Callable[[], list[RunStatus]], run: str | None) -> None:
    """Show what `look` returns until Ctrl-C, or until the run that the user named has ended."""
    statuses = look()
    with Live(shown_runs(statuses, run), console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        try:
            while not (run and statuses[0].state in ENDED):
                time.sleep(REFRESH_SECONDS)
                statuses = look()
                live.update(shown_runs(statuses, run), refresh=True)
        except KeyboardInterrupt:  # the usual way to end it
            return
