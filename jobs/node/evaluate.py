"""The evaluate stage: one job for each model and shard. A stopped job continues after its last saved batch of answers."""

import shutil
import sys
from pathlib import Path

from callbacks.shared import events
from callbacks.shared.journal import read_journal
from jobs.evaluation.adapters import merged_because
from jobs.evaluation.own_prompts import are_missing
from jobs.evaluation.parts import Part, part_of_evaluation, records_file
from jobs.evaluation.shard_file import ShardFile
from jobs.history.progress import finished_step
from jobs.node.attempt import Attempt, StageFailed
from jobs.node.commands import generate_command, merge_command, prompts_command
from jobs.node.lease import Lease
from jobs.spec.errors import EXIT_TEMPORARY
from jobs.spec.run_spec import generating_python, python_of


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
    python, generating = python_of(spec, sys.executable), generating_python(spec, sys.executable)
    if not file.is_whole():
        if generating != python and are_missing(spec, part):  # the other Python has no Axolotl
            attempt.run([prompts_command(spec, python, attempt.stem, attempt.part)])
        if merged_because(spec, Path(part.model.path)):
            _merge_once(attempt, part, python)
    attempt.lease = Lease(file.lease, attempt.name)  # two live attempts would mix their answers
    attempt.lease.take(meanwhile=attempt.check_stop)
    if not file.is_whole():
        attempt.run([generate_command(spec, generating, attempt.stem, attempt.part)])
    if not file.is_whole():
        raise StageFailed(f"the shard is not complete, and its process reported no error\nIts output: {attempt.log}")


def _merge_once(attempt: Attempt, part: Part, python: str) -> None:
    """Merge the model's adapter into its base model, for all of the model's parts. The others wait meanwhile."""
    if part.paths.merged.exists():
        return
    attempt.lease = Lease(part.paths.merge_lease, attempt.name)
    attempt.lease.take(meanwhile=attempt.check_stop)
    try:
        if part.paths.merged.exists():
            return
        unfinished = part.paths.merged.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        attempt.run([merge_command(attempt.spec, python, attempt.stem, attempt.part, unfinished)])
        unfinished.rename(part.paths.merged)
    finally:
        attempt.lease.release()
