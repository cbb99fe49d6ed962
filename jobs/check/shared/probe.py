"""`python -m jobs.check.shared.probe ANSWERS < QUESTIONS`: answers what needs the node's Python, with Axolotl and torch.

Questions and answers are JSON objects with the same names; a question that fails has `error` in its answer.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callbacks.shared.process.interpreter import run_to_the_end, uncollected
from jobs.spec.wrong_value import wrong_values


def schema(question: dict[str, Any]) -> dict[str, Any]:
    from jobs.check.shared.axolotl_keys import known_keys
    from jobs.check.shared.axolotl_values import rejected_values

    keys, failed = known_keys(question["plugins"])
    values = rejected_values(question["config"], keys["tree"], question["gpus"], question["plugins"])
    import torch

    return {**keys, "failed_plugins": failed, "rejected": values, "has_gpu": torch.cuda.is_available()}


def model(question: dict[str, Any]) -> dict[str, Any]:
    import torch

    from jobs.check.shared.model_counts import counts

    return {**counts(question), "has_gpu": torch.cuda.is_available()}


def tokens(question: dict[str, Any]) -> dict[str, Any]:
    from callbacks.shared.tokens.token_report import token_report

    return token_report(
        question["axolotl"], question["datasets"], question["takes"], question["sample"], question["seed"]
    )


ANSWERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"schema": schema, "model": model, "tokens": tokens}


def answer(name: str, question: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question; `error`: the error of a library."""
    try:
        return ANSWERS[name](question)
    except ValidationError as error:
        return {"error": "; ".join(f"{'.'.join(wrong.key)}: {wrong.found}" for wrong in wrong_values(error, None))}
    except Exception as error:  # a library's error about a config is a finding, and the other answers are still good
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    with uncollected():  # mostly imports, and the process ends here
        answers = {name: answer(name, question) for name, question in json.load(sys.stdin).items()}
    Path(sys.argv[1]).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    run_to_the_end(main)
