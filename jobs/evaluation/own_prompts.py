"""`python -m jobs.evaluation.own_prompts RUN_DIR PART`: writes the prompts that only Axolotl can make."""

import sys
from pathlib import Path

from callbacks.shared.process.interpreter import uncollected
from callbacks.shared.prompts import has_format, write_samples
from jobs.evaluation.parts import Part, are_written_by_the_training, first_dataset, part_of_evaluation, spec_of_model
from jobs.spec.run_spec import RunSpec


def are_missing(spec: RunSpec, part: Part) -> bool:
    """Whether only the strategy of a data set knows the prompts of a part, and nobody has written them down."""
    trained_by = spec_of_model(spec, part.model)
    is_known = are_written_by_the_training(spec) or has_format(first_dataset(trained_by))
    return not is_known and not part.paths.samples.exists()


def write_prompts(spec: RunSpec, part: Part) -> None:
    """Have Axolotl make the prompts if they are missing. Needs Axolotl for that."""
    if not are_missing(spec, part):
        return
    with uncollected():
        from callbacks.shared.tokens.samples import samples

    trained_by = spec_of_model(spec, part.model)
    dataset = first_dataset(trained_by) | (first_dataset(spec) if spec.evaluation else {})
    write_samples(part.paths.samples, samples(trained_by.axolotl, dataset))


def main() -> None:
    spec = RunSpec.load(Path(sys.argv[1]))
    part = part_of_evaluation(spec, int(sys.argv[2]))
    assert part
    write_prompts(spec, part)


if __name__ == "__main__":
    main()
