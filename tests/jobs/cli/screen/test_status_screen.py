"""The screens of `regrow status` show a run even if facts about it are missing, and then still show all other runs."""

import io
from dataclasses import fields, replace
from typing import Any

import pytest
from rich.console import Console

from jobs.cli.screen.status_screen import shown_runs
from jobs.history.status import JobStatus, RunStatus

WHOLE = RunStatus(
    name="one", state="running", stage="train", submitted_at=1.0, step=1, target_step=9, records=2,
    target_records=8, eta_seconds=5.0, loss=0.5, attempt=1, saved_at=2.0, goodput=0.5,
    steps_lost=1, message="it waits", to_go_on="regrow resume one",
    jobs=(JobStatus("train", "2", "PENDING", {}, "Priority", 3.0, 1),),
)  # fmt: skip
OPTIONAL = [each.name for each in fields(RunStatus) if "None" in str(each.type)]


def shown(statuses: list[RunStatus], run: str | None = None) -> str:
    output = io.StringIO()
    Console(file=output, width=200).print(shown_runs(statuses, run))
    return output.getvalue()


def test_there_are_values_that_may_be_missing() -> None:
    assert {"step", "target_step", "loss", "goodput", "target_records"} <= set(OPTIONAL)


@pytest.mark.parametrize(
    "state", ["waiting", "running", "finished", "failed", "cancelled", "lost", "unknown", "unreadable"]
)
@pytest.mark.parametrize("missing", [[name] for name in OPTIONAL] + [OPTIONAL], ids=lambda names: "+".join(names)[:40])
def test_run_is_shown_whatever_is_missing(missing: list[str], state: str) -> None:
    values: dict[str, Any] = dict.fromkeys(missing)
    status = replace(WHOLE, state=state, **values)
    assert "one" in shown([status], "one")
    both = shown([replace(WHOLE, name="other"), status])
    assert "one" in both and "other" in both


def test_training_that_died_before_its_first_step_shows_what_is_known() -> None:
    text = shown([replace(WHOLE, target_records=None, records=None, step=None, state="failed")])
    assert "–/9" in text
