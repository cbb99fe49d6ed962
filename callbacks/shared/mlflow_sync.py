"""Posts to MLflow the entries of a journal that are missing there. `python -m callbacks.shared.mlflow_sync SECONDS` follows one.

After every failure it looks again at what MLflow has, and posts the rest. So nothing is lost, and nothing is posted twice.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from callbacks.shared import events
from callbacks.shared.journal import JOURNAL_ENV, Entry, Journal, JournalReader, in_order
from callbacks.shared.mlflow_process import MLFLOW_WRITER, keep_posting, keep_sampling
from callbacks.shared.mlflow_run import MlflowRun
from callbacks.shared.process.interpreter import run_to_the_end
from callbacks.shared.projection import Projection
from callbacks.shared.tracking import TrackedRun

QUIET = (events.Metrics, events.System, events.MlflowAttached, events.MlflowFailed, events.MlflowCaughtUp)
"""Events that change no tag."""


class MlflowSync:
    """One run's journal, and the MLflow run that shows it."""

    def __init__(
        self,
        run: TrackedRun,
        reader: JournalReader,
        journal: Journal,
        tags: Callable[[list[Entry]], dict[str, str]] = lambda entries: {},
    ) -> None:
        """`journal`: where to write that the MLflow run was found. `tags`: makes more tags from the journal's entries."""
        self._run, self._journal, self._tags = run, journal, tags
        self._reader = reader
        self._entries: list[Entry] = []
        self._projection = Projection()
        self._target: MlflowRun | None = None

    def post(self) -> Counter[str]:
        """Post what is missing in MLflow; the number of points, params, tags, data sets and artifacts that were posted.

        Raises:
            Exception: any error of MLflow; the next call first looks at what MLflow has.
        """
        self._read()
        target, self._target = self._target or self._attach(), None
        posted = target.post(self._projection)
        self._target = target
        return posted

    @property
    def status(self) -> str:
        """The run's status by the journal, as far as it was read."""
        return self._projection.status

    def _read(self) -> None:
        new = self._reader.new_entries()
        self._projection.add(new)
        self._entries += [entry for entry in new if not isinstance(entry, events.System)]
        if any(not isinstance(entry, QUIET) for entry in new):
            self._projection.tags |= self._tags(in_order(self._entries))

    def _attach(self) -> MlflowRun:
        client, run_id = self._run.attach()
        target = MlflowRun(client, run_id, self._projection)
        if not any(entry.run_id == run_id for entry in events.only(self._entries, events.MlflowAttached)):
            self._journal.write(events.MlflowAttached(run_id=run_id, experiment_id=target.experiment_id))
        return target


def main() -> None:
    """Follow the journal of a training that was started by hand, until it ends."""
    run, stem = TrackedRun.from_environment(), Path(os.environ[JOURNAL_ENV])
    assert run
    journal = Journal.of_writer(str(stem), MLFLOW_WRITER)
    sync = MlflowSync(run, JournalReader(stem.parent, of=stem.name), journal)
    keep_sampling(journal, run.submitted_at)
    keep_posting(sync.post, journal, float(sys.argv[1]))
    if sync.status == "RUNNING":  # only this process can say it: the training has ended without an event
        journal.write(events.RunEnded(status="FAILED"))
        sync.post()


if __name__ == "__main__":
    run_to_the_end(main)
