"""`regrow compare A B`: compares two evaluated models, and the trainings that made them."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.evaluation.comparison import Comparison, compare
from jobs.evaluation.criteria import Criterion, criteria
from jobs.evaluation.markdown import comparison_section, markdown_table, number
from jobs.evaluation.parts import required_scorer, spec_of_model
from jobs.evaluation.results import ModelResult, written_results
from jobs.evaluation.training_facts import TrainingFacts, training_facts
from jobs.spec.errors import ConfigError
from jobs.spec.find import find_run, name_to_type
from jobs.spec.run_spec import RunSpec


@dataclass(frozen=True)
class Side:
    """One of the two models."""

    name: str
    spec: RunSpec
    result: ModelResult
    training: TrainingFacts


@dataclass(frozen=True)
class RunComparison:
    """Run A beside run B."""

    a: Side
    b: Side
    comparison: Comparison
    criteria: list[Criterion]

    def to_dict(self) -> dict[str, Any]:
        sides = {"a": self.a, "b": self.b}
        return {
            **{key: {"name": side.name, "training": asdict(side.training), "generation": side.result.scores["speed"]}
               for key, side in sides.items()},
            **asdict(self.comparison),
            "criteria": [asdict(each) for each in self.criteria],
        }  # fmt: skip

    def __str__(self) -> str:
        """The comparison as Markdown."""
        a, b = self.a, self.b
        lines = comparison_section(self.comparison, a.name, b.name)
        lines += ["\n### Speed and memory\n", *markdown_table(["", a.name, b.name], _speed_rows(a, b))]
        rows = [[each.criterion, each.verdict, each.reason] for each in self.criteria]
        lines += [f"\n### Criteria of success: {a.name} in place of {b.name}\n"]
        return "\n".join([*lines, *markdown_table(["criterion", "verdict", "found"], rows)]).lstrip("\n")


def compare_runs(a: str, b: str, runs_root: Path, ranks: int | None = None) -> RunComparison:
    """Compare two evaluated models, each given as RUN, or as RUN/MODEL where a run has evaluated several.

    Args:
        ranks: as in `criteria`.

    Raises:
        ConfigError: one does not exist or was not evaluated, or they were evaluated on different records.
    """
    sides = _side(a, runs_root), _side(b, runs_root)
    found = compare(sides[0].result.rows, sides[1].result.rows, required_scorer(sides[0].spec))
    return RunComparison(*sides, found, criteria(found, sides[0].training, sides[1].training, ranks))


def _side(text: str, runs_root: Path) -> Side:
    try:
        spec, wanted = find_run(text, runs_root), None
    except ConfigError:
        run, slash, wanted = text.rpartition("/")
        if not slash:
            raise
        spec = find_run(run, runs_root)
    results = written_results(spec)
    chosen = [result for result in results if wanted in (None, result.model.name)]
    if not results:
        raise ConfigError(f"{spec.name} has no finished evaluation\nhint: `regrow status {name_to_type(spec)}`")
    if len(chosen) != 1:
        known = ", ".join(f"{spec.name}/{model.name}" for model in (result.model for result in results))
        raise ConfigError(f"{text}: the run has several models\nhint: write one of {known}")
    model = chosen[0].model
    name = text if wanted else model.name if spec.evaluation else spec.name
    return Side(name, spec, chosen[0], training_facts(spec_of_model(spec, model)))


def _speed_rows(a: Side, b: Side) -> list[list[str]]:
    rows = [
        ["training, steps/s", *(number(side.training.steps_per_second) for side in (a, b))],
        ["training, tokens/s", *(number(side.training.tokens_per_second, 0) for side in (a, b))],
        ["training, peak GiB of a GPU", *(number(side.training.peak_memory_gib, 1) for side in (a, b))],
    ]
    generation = [side.result.scores["speed"] for side in (a, b)]
    rows.append(["generation, tokens/s of a job", *(number(each["tokens_per_second"], 0) for each in generation)])
    rows.append(["generation, peak GiB", *(number(each["peak_memory_gib"], 1) for each in generation)])
    return rows
