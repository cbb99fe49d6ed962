"""`python -m jobs.generate RUN_DIR PART`: the answers of one part of an evaluation. The evaluate stage's child; needs torch."""

import sys
import time
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path

from callbacks.journal import JOURNAL_ENV, Journal, read_journal
from callbacks.prompts import load_records
from jobs.evaluation.engine import Engine, TransformersEngine, sampling_of
from jobs.evaluation.parts import Part, part_of_evaluation, prompt_format, records_file, shard_of, spec_of_model
from jobs.evaluation.shard_file import Line, ShardFile
from jobs.launch import own_environment
from jobs.spec import RunSpec

EXIT_CONFIG = 2


def main() -> None:
    try:
        generate_part()
    except Exception as error:
        Journal.of_writer(own_environment(JOURNAL_ENV), "error").event(
            "error", type=type(error).__name__, message=str(error)
        )
        traceback.print_exc()
        raise SystemExit(EXIT_CONFIG if isinstance(error, ValueError | KeyError | FileNotFoundError) else 1) from None


def generate_part() -> None:
    """Load what the arguments name, and generate."""
    spec = RunSpec.load(Path(sys.argv[1]))
    part, records = part_of_evaluation(spec, int(sys.argv[2])), records_file(spec)
    assert part and records
    trained_by = spec_of_model(spec, part.model)
    prompts = [prompt_format(trained_by).prompt(record) for record in load_records(records)]
    mine = shard_of([len(prompt) for prompt in prompts], part.shard, part.shards)
    settings = trained_by.model_copy(update={"regrow": spec.regrow})
    engine = TransformersEngine(settings, Path(part.model.path))
    journal = Journal.of_writer(own_environment(JOURNAL_ENV), "generate")
    generate(part, prompts, mine, engine, journal, said_before(spec, part))
    shard = {"max_new_tokens": spec.regrow.evaluate.max_new_tokens, "sampling": sampling_of(spec) or "greedy"}
    ShardFile(part.file).finish(len(mine), shard)


def said_before(spec: RunSpec, part: Part) -> set[int]:
    """The batches of a part of which the journal knows."""
    entries = read_journal(spec.paths.journal)
    return {entry["batch"] for entry in entries if entry["event"] == "generated" and entry["part"] == part.number}


def generate(
    part: Part, prompts: Sequence[str], mine: Sequence[int], engine: Engine, journal: Journal, said: Collection[int]
) -> None:
    """Answer what is not answered yet, batch by batch; each batch is on disk before the journal says so.

    Args:
        prompts: of all records.
        mine: indices of the part's records.
        said: the batches of which the journal knows. It misses one when a kill came between the two.
    """
    file = ShardFile(part.file)
    batches = [[mine[index] for index in batch] for batch in engine.batches([prompts[index] for index in mine])]
    found = file.resume(batches, prompts)
    done = sum(map(len, found))
    journal.event("part_began", part=part.number, model=part.model.name, shard=part.shard, shards=part.shards,
                  records=len(mine), done=done)  # fmt: skip
    for number, lines in enumerate(found):
        if number not in said:
            journal.event(
                "generated", part=part.number, batch=number, records=len(lines), tokens=_tokens(lines), seconds=None
            )
    for number, batch in list(enumerate(batches))[len(found) :]:
        started = time.monotonic()
        answers = engine.generate([prompts[index] for index in batch])
        seconds = time.monotonic() - started
        file.append(batch, prompts, answers)
        tokens = sum(answer.tokens for answer in answers)
        journal.event("generated", part=part.number, batch=number, records=len(batch), tokens=tokens, seconds=seconds)
    journal.event("part_generated", part=part.number, peak_memory_gib=engine.peak_memory_gib())


def _tokens(lines: list[Line]) -> int:
    return sum(int(line["tokens"]) for line in lines)


if __name__ == "__main__":
    main()
