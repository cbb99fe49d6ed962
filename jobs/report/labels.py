"""The names of an evaluated step's scores in the report, its summary and on the terminal."""

from collections.abc import Collection

from callbacks.shared.tasks.scorers import scorer_of
from jobs.spec.run_spec import RunSpec

COUNTS = frozenset({"gen_records", "gen_undefined_metrics", "gen_records_skipped", "gen_seconds"})
"""Values beside the scores that say how they were made."""


def columns(spec: RunSpec, seen: Collection[str]) -> dict[str, str]:
    """Metric → label, in the order of the tables: the validation loss, and the scores of the run's task.

    Args:
        seen: the names of the metrics that there are; only these tell what a scorer of the user's own returns.
    """
    scorer = scorer_of(spec.regrow)
    if scorer is None:
        return {"eval_loss": "eval loss"}
    own = {
        name: name.removeprefix("gen_").replace("_", " ")
        for name in seen
        if name.startswith("gen_") and name not in COUNTS
    }
    return {"eval_loss": "eval loss"} | (dict(scorer.about.labels) or own)


def answer_scores(spec: RunSpec, seen: Collection[str]) -> dict[str, str]:
    """As `columns`: the scores of the model's answers alone."""
    scorer = scorer_of(spec.regrow)
    others = {"eval_loss", *(scorer.about.references if scorer else ())}
    return {name: label for name, label in columns(spec, seen).items() if name not in others}
