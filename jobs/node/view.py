"""What an attempt knows when it decides how to leave: the run's journal, and Slurm's record of its job, at one moment."""

from dataclasses import dataclass

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import Entry, read_journal
from jobs.history.progress import reached
from jobs.history.submissions import has_successor, since_typed
from jobs.node.attempt import Attempt
from jobs.node.requeue_policy import OWN_FAULT, Cause, Fate, Situation
from jobs.slurm.answers import JobRecord
from jobs.spec.run_spec import RunSpec
from jobs.spec.stages import Stage


@dataclass(frozen=True)
class View:
    """Everything that a decision looks at, as known at one moment."""

    spec: RunSpec
    stage: Stage
    part: int
    job_id: str
    entries: list[Entry]
    """The run's journal."""
    record: JobRecord | None
    """Slurm's record of this job; None: it is not a Slurm job, or Slurm cannot be asked."""
    has_slurm: bool
    can_ask: bool

    @property
    def mark(self) -> int | None:
        """How much of the stage's work is saved."""
        return reached(self.entries, self.stage, self.part)

    @property
    def has_successor(self) -> bool:
        return has_successor(self.entries, self.job_id)

    def situation(self, cause: Cause) -> Situation:
        """What the decision depends on, besides the cause."""
        last_words = {
            entry.attempt_name: entry
            for entry in only(since_typed(self.entries, self.stage), events.Left)
            if (entry.stage, entry.part) == (self.stage, self.part)
        }
        left = list(last_words.values())
        causes = [*(entry.cause for entry in left), cause]
        limits = self.spec.regrow.requeue
        return Situation(
            crashes=causes.count("crashed") + causes.count("not_started"),
            max_crashes=limits.max_crashes,
            timeouts=causes.count("timed_out") + causes.count("expired"),
            max_timeouts=limits.max_timeouts,
            is_stuck=bool(left) and {left[-1].cause, cause} <= OWN_FAULT and left[-1].step == self.mark,
            has_slurm=self.has_slurm,
            can_ask=self.can_ask,
            site_requeues=self._site_requeues(),
            requeueable=self.record.requeueable if self.record else True,
            prefer_successor=limits.prefer == "successor",
            when_it_leaves=self._when_it_leaves(cause),
        )

    def _when_it_leaves(self, cause: Cause) -> Fate:
        is_preempted = self.record.preempt_time is not None if self.record else cause in ("preempted", "unknown")
        site = self.spec.site
        if not (is_preempted and site and site.leaving_is_preemption):
            return "as it exits"
        requeues = self._site_requeues() and (self.record is None or self.record.requeueable)
        return "requeued" if requeues else "ended"

    def _site_requeues(self) -> bool:
        """Whether Slurm requeues this job when it is preempted."""
        names = (self.record.partition, self.record.qos) if self.record else ("", "")
        return self.spec.site is not None and self.spec.site.requeues(self.stage, *names)


def look(attempt: Attempt) -> View:
    """Read the journal and ask for the job's record. This is the last look before a job is brought back.

    Raises:
        NoAnswer: the controller does not answer.
    """
    return View(
        spec=attempt.spec,
        stage=attempt.stage,
        part=attempt.part,
        job_id=attempt.job_id,
        entries=[entry for entry in _journal(attempt) if not _is_own_end(attempt, entry)],
        record=attempt.cluster.job_record(attempt.job_id) if attempt.in_slurm else None,
        has_slurm=attempt.in_slurm,
        can_ask=attempt.cluster.is_reachable(),
    )


def _journal(attempt: Attempt) -> list[Entry]:
    """The run's journal. If the file system does not give it, the attempt decides by what Slurm says alone."""
    try:
        return read_journal(attempt.spec.paths.journal)
    except OSError as error:
        print(f"the journal cannot be read: {error}", flush=True)
        return []


def _is_own_end(attempt: Attempt, entry: Entry) -> bool:
    """Whether an entry is this attempt's own word that it leaves, which it wrote before it looked anew."""
    return isinstance(entry, events.Left) and entry.attempt_name == attempt.name
