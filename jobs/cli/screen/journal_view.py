"""The journal on a terminal: a line for each important event, a bar for long work, the metric table at the end."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import singledispatchmethod

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from callbacks.shared import events
from callbacks.shared.journal import Entry
from jobs.cli.screen.say import printable
from jobs.evaluation.markdown import interval_text
from jobs.evaluation.results import ModelResult, written_results
from jobs.evaluation.scores import metric_values
from jobs.report.labels import answer_scores
from jobs.report.metrics_markdown import metric_table
from jobs.spec.run_spec import RunSpec

LEFT = {
    "requeue": "goes back into the queue",
    "leave": "goes back into the queue",
    "successor": "is followed by a new job",
    "stay": "waits for Slurm to requeue it",
    "exit": "ends",
    "fail": "ends",
}
"""What an attempt does when it leaves before its work is done: the text for each action."""


class Follower:
    """Shows new events: a line or a bar for each important kind, nothing for the other kinds."""

    def __init__(self, console: Console, progress: Progress, spec: RunSpec) -> None:
        self._console, self._progress, self._spec = console, progress, spec
        self._bars: dict[str, TaskID] = {}
        self._parts: dict[int, tuple[int, int]] = {}
        """For each part of the evaluation that has begun: the number of answered records, and of all records."""
        self._loss = ""

    def __call__(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._show(entry)

    @singledispatchmethod
    def _show(self, entry: Entry) -> None:
        """Show nothing for the other kinds of events."""

    @_show.register
    def _(self, entry: events.StageStarted) -> None:
        self._say(entry, f"[bold]{entry.stage}[/] starts; its output: {escape(entry.log)}")

    @_show.register
    def _(self, entry: events.StopRequested) -> None:
        how = entry.signal or "Slurm's record"
        self._say(entry, f"[yellow]{entry.cause.replace('_', ' ')}[/] ({how}, {entry.phase})")

    @_show.register
    def _(self, entry: events.Stopped) -> None:
        self._say(entry, f"step {entry.step} is saved; the ranks leave")

    @_show.register
    def _(self, entry: events.Left) -> None:
        self._remove_bars()
        self._say(entry, f"[bold]{entry.stage}[/] {LEFT[entry.action]}: {escape(entry.reason)}")

    @_show.register
    def _(self, entry: events.SaveFailed) -> None:
        self._say(entry, f"[red]{entry.checkpoint} could not be written[/]: ", plain=entry.error)

    @_show.register
    def _(self, entry: events.FailedAfterTheEnd) -> None:
        self._say(
            entry, "[yellow]training is finished, but a later step of its process failed[/]: ", plain=entry.message
        )

    @_show.register
    def _(self, entry: events.StageFinished) -> None:
        self._remove_bars()
        self._say(entry, f"[bold]{entry.stage}[/] has finished{self._answered(entry)}")

    @_show.register
    def _(self, entry: events.StageFailed) -> None:
        self._remove_bars()
        self._say(entry, f"[bold red]{entry.stage} failed[/]: ", plain=entry.message)

    @_show.register
    def _(self, entry: events.Prepared) -> None:
        kinds = "" if entry.positives is None else f" ({entry.positives:,} positive, {entry.negatives or 0:,} negative)"
        self._say(entry, f"{entry.records:,} records{kinds}, {entry.validation_records:,} for validation")
        if leaked := entry.leaked_validation_records:
            self._say(entry, f"[yellow]{leaked:,} validation records are also in train[/]")

    @_show.register
    def _(self, entry: events.TokensChecked) -> None:
        if entry.too_long:
            looked_at = f"of {entry.records:,} records are longer than sequence_len and are left out"
            longest = f"(longest: {entry.longest:,} tokens)"
            self._say(entry, f"[yellow]{entry.too_long:,} {looked_at}[/] {longest}")

    @_show.register
    def _(self, entry: events.RanksStarted) -> None:
        if entry.training:
            self._say(entry, f"training [bold]{escape(entry.training)}[/], before the last one")

    @_show.register
    def _(self, entry: events.TrainingBegan) -> None:
        self._bar("train", entry.step, entry.target_step)
        if entry.step:
            self._say(entry, f"goes on from step {entry.step:,} of {entry.target_step:,}")

    @_show.register
    def _(self, entry: events.Progress) -> None:
        self._bar(entry.what, entry.done, entry.total)

    @_show.register
    def _(self, entry: events.PartBegan) -> None:
        self._parts[entry.part] = (entry.done, entry.records)
        which = f"[bold]{escape(entry.model)}[/], shard {entry.shard + 1} of {entry.shards}"
        already = f", {entry.done:,} of them already answered" if entry.done else ""
        self._say(entry, f"{which}: {entry.records:,} records{already}")
        self._show_parts()

    @_show.register
    def _(self, entry: events.Generated) -> None:
        if entry.seconds is None:  # `PartBegan` has counted them
            return
        done, records = self._parts.get(entry.part, (0, entry.records))
        self._parts[entry.part] = (done + entry.records, records)
        self._show_parts()

    @_show.register
    def _(self, entry: events.Metrics) -> None:
        if any(name.startswith("gen_") for name in entry.values):
            labels = answer_scores(self._spec, entry.values)
            scores = [f"{label} {entry.values[name]:.3f}" for name, label in labels.items() if name in entry.values]
            self._say(entry, f"step {entry.step}: {', '.join(scores)}")
        if "train" in self._bars:
            self._loss = f"loss {entry.values['loss']:.3f}" if "loss" in entry.values else self._loss
            self._progress.update(self._bars["train"], completed=entry.step, note=self._loss)

    @_show.register
    def _(self, entry: events.CheckpointTorn) -> None:
        self._say(entry, f"[yellow]{entry.checkpoint} is torn[/] ({escape(entry.reason)}): renamed to {entry.renamed}")

    @_show.register
    def _(self, entry: events.MlflowFailed) -> None:
        self._say(entry, "[yellow]MLflow[/] does not answer; nothing is lost: ", plain=entry.error)

    @_show.register
    def _(self, entry: events.MlflowCaughtUp) -> None:
        self._say(entry, "MLflow has everything again")

    def _answered(self, entry: events.StageFinished) -> str:
        """How many records were answered by the part that has finished; empty for other stages."""
        done, records = self._parts.get(entry.part, (0, 0)) if entry.stage == "evaluate" else (0, 0)
        return f": {done:,} of {records:,} records are answered" if records else ""

    def _show_parts(self) -> None:
        done, records = map(sum, zip(*self._parts.values(), strict=True))
        self._bar("generate", done, records)

    def _bar(self, what: str, done: int, total: int) -> None:
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total, note="")
        self._progress.update(self._bars[what], completed=done, total=total)

    def _remove_bars(self) -> None:
        for task in self._bars.values():
            self._progress.remove_task(task)
        self._bars.clear()

    def _say(self, entry: Entry, text: str, plain: str = "") -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(entry.time))
        self._console.print(printable(f"[dim]{clock}[/] {text}"), end="" if plain else "\n")
        if plain:
            self._console.print(printable(plain), markup=False, highlight=False)


@contextmanager
def following(spec: RunSpec) -> Iterator[Follower]:
    """A follower of the run, which shows its bars below its lines."""
    console = _console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Follower(console, progress, spec)


def print_scores(spec: RunSpec, entries: list[Entry]) -> None:
    """Print a run's result: the report's table, or an evaluation's scores."""
    if not spec.evaluation:
        _console().print(_metrics_table(spec, entries))
    elif results := written_results(spec):
        _console().print(_scores_table(results))


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _scores_table(results: Sequence[ModelResult]) -> Table:
    """An evaluation's scores for a terminal, with one column per model."""
    table = Table(title=f"{results[0].scores['records']:,} records, with 95 % intervals", title_justify="left")
    table.add_column("metric")
    for result in results:
        table.add_column(result.model.name, justify="right")
    for name in results[0].scores["metrics"]:
        table.add_row(name, *(interval_text(metric_values(result.scores).get(name)) for result in results))
    return table


def _metrics_table(spec: RunSpec, entries: list[Entry]) -> Table:
    """The report's table for a terminal."""
    header, *rows = metric_table(spec, entries) or [["step"]]
    table = Table(title="validation records, step by step" if rows else "no evaluation", title_justify="left")
    for name in header:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
