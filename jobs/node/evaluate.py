"""The evaluate stage: one job for each model and shard. A stopped job continues after its last saved batch of answers."""

import sys

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.evaluation.parts import part_of_evaluation, records_file
from jobs.evaluation.shard_file import ShardFile
from jobs.history.progress import finished_step
from jobs.node.attempt import Attempt, StageFailed
from jobs.node.commands import generate_command
from jobs.node.lease import Lease
from jobs.spec.errors import EXIT_TEMPORARY
from jobs.spec.run_spec import python_of


def evaluate(attempt: Attempt) -> None:
    """Generate the missing answers of a shard, in a process with torch. However it ends, at most one batch is lost.

    Raises:
        StageFailed: the training has not finished, or the generation failed.
        Stopped: the stage was told to stop, and the process has ended.
    """
    spec = attempt.spec
    if not spec.evaluation and finished_step(read_journal(spec.paths.journal)) is None:
        raise StageFailed(
            f"{spec.name} has not finished training, so there is no final adapter to evaluate", EXIT_TEMPORARY
        )
    part = part_of_evaluation(spec, attempt.part)
    if not records_file(spec) or not part:
        reason = "the run has saved fewer checkpoints" if not part else "the config has no test_datasets"
        attempt.journal.write(events.NothingToEvaluate(part=attempt.part, reason=reason))
        return
    file = ShardFile(part.file)
    part.paths.folder.mkdir(parents=True, exist_ok=True)
    attempt.lease = Lease(file.lease, attempt.name)  # two live attempts would mix their answers
    attempt.lease.take(meanwhile=attempt.check_stop)
    if not file.is_whole():
        attempt.run([generate_command(spec, python_of(spec, sys.executable), attempt.stem, attempt.part)])
    if not file.is_whole():
        raise StageFailed(f"the shard is not complete, and its process reported no error\nIts output: {attempt.log}")
