"""A scorer of one's own: a function that gets a prediction and returns numbers.

    def my_scorer(expected: str, generated: str, input: str) -> dict[str, float]:
        return {"length_right": len(expected) == len(generated)}

Each number is a metric `gen_<name>`, averaged over the records; the first one ranks the models. A record counts as right if its
first number is 1 or more. ValueError says that the expected text is not an answer.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from callbacks.shared.args import OwnTask
from callbacks.shared.tasks.verdict import About, Row, Scorer, Verdict

Function = Callable[..., Mapping[str, float]]


class OwnScorer(Scorer):
    """Calls the user's function for each record."""

    def __init__(self, task: OwnTask, folders: Sequence[Path]) -> None:
        self._name, self._function = task.scorer, load_function(task.scorer, folders)
        self.about = About(headline="", metrics=(), labels={}, right=f"{task.scorer.rpartition('.')[2]} right")

    def judge(self, row: Row) -> Verdict:
        try:
            numbers = self._numbers(row)
        except Exception as error:  # what a model has written may surprise the user's code, and must not end a training
            self._require_answer(row)
            shares = dict.fromkeys(self.about.metrics, (0.0, 1.0))
            return Verdict(shares, False, [f"the scorer failed: {type(error).__name__}: {error}"], 1000.0)
        if not numbers:
            raise ValueError(f"{self._name} returned no number")
        if not self.about.metrics:  # known only when the function has answered
            self.about.metrics, self.about.headline = tuple(numbers), next(iter(numbers))
            self.about.labels = {name: name.removeprefix("gen_").replace("_", " ") for name in numbers}
        first = numbers[next(iter(numbers))]
        is_right = first >= 1
        columns = {name.removeprefix("gen_"): value for name, value in numbers.items()}
        errors = [] if is_right else [", ".join(f"{name} {value:.3g}" for name, value in columns.items())]
        return Verdict({name: (value, 1.0) for name, value in numbers.items()}, is_right, errors,
                       0.0 if is_right else 1 + max(0.0, 1 - first), columns=columns)  # fmt: skip

    def _numbers(self, row: Row) -> dict[str, float]:
        found = self._function(expected=row["expected"], generated=row["generated"], input=row["input"])
        return {f"gen_{name}": _number(self._name, name, value) for name, value in found.items()}

    def _require_answer(self, row: Row) -> None:
        """ValueError if the function cannot even score the expected answer itself."""
        try:
            self._numbers({**row, "generated": row["expected"]})
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def load_function(dotted: str, folders: Sequence[Path]) -> Function:
    """The function of a dotted path; its module is looked for in the folders, and then among the installed ones.

    Raises:
        ValueError: it cannot be loaded.
    """
    module, _, name = dotted.rpartition(".")
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        found: Any = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ValueError(f"regrow.task.scorer: {dotted} cannot be loaded: {error}") from error
    finally:
        sys.path[:] = before
    if not callable(found):
        raise ValueError(f"regrow.task.scorer: {dotted} is not the dotted path of a function, e.g. my_module.my_scorer")
    function: Function = found
    return function


def _number(scorer: str, name: str, value: Any) -> float:
    if not isinstance(value, Real):
        raise TypeError(f"{scorer} returned {value!r} for {name}, which is not a number")
    return float(value)
