"""The task: whether the records have answers, and whether its scorer can read those that are expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from callbacks.shared.prompts import PromptFormat, has_format, load_records
from callbacks.shared.tasks.verdict import Scorer
from jobs.check.shared.finding import Finding
from jobs.check.shared.places import Places
from jobs.spec.own_code import scorer_before_submission
from jobs.spec.paths import from_root
from jobs.spec.run_spec import RunSpec, mappings

SHOWN = 3


def task_findings(spec: RunSpec, places: Places) -> Iterator[Finding]:
    """Findings about `regrow.task`; none without a task."""
    if spec.regrow.task is None:
        return
    if reason := no_answers(spec.axolotl):
        yield Finding.error(
            "task.no-answers",
            places.config("regrow", "task"),
            found=reason,
            cost="there would be no answer to generate and to score",
            fix="remove `regrow.task`; the run then has losses alone",
        )
        return
    try:
        scorer = scorer_before_submission(spec)
    except ValueError as error:
        yield Finding.error(
            "task.scorer",
            places.config("regrow", "task"),
            found=str(error),
            cost="every evaluation would fail",
            fix="put the module beside the config, or where the nodes can import it; or correct the task",
        )
        return
    assert scorer
    for key, path, dataset in _validation_files(spec):
        yield from _expected(places, key, path, PromptFormat.from_dataset(dataset), scorer)


def no_answers(axolotl: dict[str, Any]) -> str:
    """Why the records of a config have no answers; empty: they may have some."""
    kinds = [str(dataset.get("type")) for dataset in mappings(axolotl.get("test_datasets") or axolotl.get("datasets"))]
    if axolotl.get("rl"):
        return f"rl: {axolotl['rl']}: pairs of answers are compared, and none is the expected one"
    if axolotl.get("reward_model") or axolotl.get("process_reward_model"):
        return "a reward model gives numbers, and no answers"
    if axolotl.get("pretraining_dataset") or any(kind.startswith(("completion", "pretrain")) for kind in kinds[:1]):
        return "plain text has no answers"
    if axolotl.get("train_on_inputs") and not axolotl.get("test_datasets"):
        return "with train_on_inputs, the records that val_set_size splits off do not say where the answer begins"
    return ""


def _validation_files(spec: RunSpec) -> Iterator[tuple[tuple[str | int, ...], Path, dict[str, Any]]]:
    """Local files of validation records whose prompts the config says, each with its key and its data set."""
    for number, dataset in enumerate(mappings(spec.axolotl.get("test_datasets"))):
        if not has_format(dataset):
            continue
        sections = spec.regrow.prepare.validation
        named: list[tuple[tuple[str | int, ...], str]] = [
            (("regrow", "prepare", "validation", index, "path"), section.path) for index, section in enumerate(sections)
        ]
        for key, path in named or [(("test_datasets", number, "path"), str(dataset.get("path")))]:
            if from_root(path).is_file() and Path(path).suffix in (".json", ".jsonl", ".gz"):
                yield key, from_root(path), dataset


def _expected(
    places: Places, key: tuple[str | int, ...], path: Path, template: PromptFormat, scorer: Scorer
) -> Iterator[Finding]:
    faults = list(expected_faults(path, template, scorer))
    if faults:
        yield Finding.error(
            "task.expected",
            places.config(*key),
            found=f"{len(faults):,} expected answers cannot be scored: {'; '.join(faults[:SHOWN])}",
            cost="these records would be left out of every evaluation",
            fix="correct the records, or regrow.task",
        )


def expected_faults(path: Path, template: PromptFormat, scorer: Scorer) -> Iterator[str]:
    """Each record of a file whose expected answer the scorer cannot read, and why. Records count from 1."""
    try:
        records = load_records(path)
    except (ValueError, OSError):  # another finding says so
        return
    for number, record in enumerate(records, 1):
        try:
            sample = template.sample(record)
            scorer.judge({"input": sample.input, "expected": sample.expected, "generated": sample.expected})
        except (ValueError, TypeError) as error:
            yield f"record {number}: {error}"
        except (KeyError, AttributeError):  # not a record of this form
            return
