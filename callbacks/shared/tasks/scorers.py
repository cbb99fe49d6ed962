"""From `regrow.task` to its scorer."""

from pathlib import Path

from callbacks.shared.args import ExtractionTask, JsonTask, LabelTask, OwnTask, Regrow
from callbacks.shared.tasks.verdict import Scorer


def scorer_of(regrow: Regrow) -> Scorer | None:
    """The scorer of the task; None: the config has no task.

    Raises:
        ValueError: a scorer of the user's own cannot be loaded, or a schema is none.
    """
    task = regrow.task
    if task is None:
        return None
    if isinstance(task, ExtractionTask):
        from callbacks.shared.tasks.extraction_scorer import ExtractionScorer

        return ExtractionScorer(task)
    if isinstance(task, LabelTask):
        from callbacks.shared.tasks.label import LabelScorer

        return LabelScorer(task)
    if isinstance(task, JsonTask):
        from callbacks.shared.tasks.json_answer import JsonScorer

        return JsonScorer(task)
    if isinstance(task, OwnTask):
        from callbacks.shared.tasks.own import OwnScorer

        return OwnScorer(task, [regrow.code or Path.cwd()])
    from callbacks.shared.tasks.text import TextScorer

    return TextScorer()
