"""`python -m jobs.evaluation.generate RUN_DIR PART`: generates the answers of one part of an evaluation. Needs torch."""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callbacks.shared import events
from callbacks.shared.events import only
from callbacks.shared.journal import JOURNAL_ENV, Journal, read_journal
from callbacks.shared.process.interpreter import run_to_the_end, uncollected
from callbacks.shared.process.own_shield import shield_only_this_process
from callbacks.shared.prompts import Sample
from jobs.evaluation.adapters import folder_to_load
from jobs.evaluation.own_prompts import write_prompts
from jobs.evaluation.parts import (
    Part,
    part_of_evaluation,
    records_file,
    samples_of,
    shard_of,
    spec_of_model,
    with_settings_of,
)
from jobs.evaluation.shard_file import ShardFile
from jobs.spec.errors import EXIT_CONFIG, EXIT_FAILED
from jobs.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from jobs.evaluation.engine import Engine


def main() -> None:
    shield_only_this_process()
    try:
        generate_part()
    except Exception as error:
        said = events.Error(type=type(error).__name__, message=str(error))
        Journal.of_writer(own_environment(JOURNAL_ENV), "error").write(said)
        traceback.print_exc()
        raise SystemExit(
            EXIT_CONFIG if isinstance(error, ValueError | KeyError | FileNotFoundError) else EXIT_FAILED
        ) from None


def generate_part() -> None:
    """Load the part that the arguments name, and generate its answers."""
    with uncollected():
        from jobs.evaluation.engine import engine_class

    spec = RunSpec.load(Path(sys.argv[1]))
    part, records = part_of_evaluation(spec, int(sys.argv[2])), records_file(spec)
    assert part and records
    trained_by = spec_of_model(spec, part.model)
    write_prompts(spec, part)
    samples = samples_of(spec, part.model, records)
    make_engine = engine_class(spec.regrow.evaluate.engine)
    engine = make_engine(with_settings_of(trained_by, spec), folder_to_load(spec, part))
    journal = Journal.of_writer(own_environment(JOURNAL_ENV), "generate")
    said = [entry for entry in only(read_journal(spec.paths.journal), events.Generated) if entry.part == part.number]
    settings = {"max_new_tokens": spec.regrow.evaluate.max_new_tokens, "sampling": engine.sampling or "greedy"}
    generate(part, samples, engine, journal, said, settings)


def generate(
    part: Part,
    samples: Sequence[Sample],
    engine: "Engine",
    journal: Journal,
    said: Sequence[events.Generated],
    settings: dict[str, Any],
) -> None:
    """Generate the missing answers, batch by batch. Each batch is on disk before the journal has its event.

    Args:
        samples: all records.
        said: the journal's entries for the batches of earlier attempts. If an attempt was killed between the two writes,
            its last entry is missing.
        settings: the settings of the generation, for the marker of the finished shard.
    """
    prompts = [sample.prompt for sample in samples]
    file, mine = ShardFile(part.file), shard_of([len(prompt) for prompt in prompts], part.shard, part.shards)
    batches = [
        [mine[index] for index in batch] for batch in engine.batches([samples[index].for_model for index in mine])
    ]
    engine.pieces = max((entry.pieces for entry in said), default=1)
    with file.resumed(batches, prompts) as (found, writer):
        journal.write(
            events.PartBegan(
                part=part.number,
                model=part.model.name,
                shard=part.shard,
                shards=part.shards,
                records=len(mine),
                done=sum(map(len, found)),
            )
        )
        for number in sorted(set(range(len(found))) - {entry.batch for entry in said}):
            _say(journal, part, number, [line["tokens"] for line in found[number]], None, engine)
        for number, batch in list(enumerate(batches))[len(found) :]:
            started = time.monotonic()
            answers = engine.generate([samples[index].for_model for index in batch])
            seconds = time.monotonic() - started
            writer.append(batch, answers)
            _say(journal, part, number, [answer.tokens for answer in answers], seconds, engine)
    file.finish(batches, prompts, settings)
    journal.write(events.PartGenerated(part=part.number, peak_memory_gib=engine.peak_memory_gib()))


def _say(
    journal: Journal, part: Part, batch: int, tokens: Sequence[int], seconds: float | None, engine: "Engine"
) -> None:
    journal.write(
        events.Generated(
            part=part.number,
            batch=batch,
            records=len(tokens),
            tokens=sum(tokens),
            seconds=seconds,
            pieces=engine.pieces,
        )
    )


def own_environment(name: str) -> str:
    """The value of an environment variable that a stage sets for its children.

    Raises:
        KeyError: this process was not started by a stage.
    """
    return os.environ[name]


if __name__ == "__main__":
    run_to_the_end(main)
