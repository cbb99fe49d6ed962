"""The summary for a chat: it is short, and holds only figures."""

import re
from typing import Any

from callbacks.shared.journal import Entry
from callbacks.shared.ledger_file import Begun, Step, ledger_file, to_lines
from jobs.evaluation.results import ModelResult, Results
from jobs.report.page import page
from jobs.report.summary import summary
from jobs.spec.run_spec import RunSpec


def test_summary_says_what_became_of_the_run(
    spec: RunSpec, preempted: list[Entry], evaluated: list[ModelResult]
) -> None:
    text = summary(spec, preempted, Results(evaluated[:1], [], []))
    assert len(text.splitlines()) <= 12
    assert text.startswith("**looked-at**: FINISHED after 3m 40s on local\n- 80 of 80 steps, loss 0.125\n")
    assert re.search(r"- goodput \d+%, 0\.04 GPU-hours, 3 attempts, 2 preemptions, 5 steps done again\n", text)
    assert re.search(r"- presence F1: 0\.\d{3} \(0\.\d{3}–0\.\d{3}\)\n", text)
    assert text.endswith(f"- report: `{spec.paths.report_page}`\n")


def test_summary_holds_no_text_of_articles_and_models(
    spec: RunSpec, preempted: list[Entry], evaluated: list[ModelResult]
) -> None:
    text = summary(spec, preempted, Results(evaluated, [], []))
    assert "img" not in text and "容疑者" not in text and "山田" not in text


def test_summary_of_a_failed_run_says_why_in_one_line(spec: RunSpec, journal: Any, nothing: Results) -> None:
    for attempt in range(4):
        journal.say(
            attempt,
            "stage_failed",
            f"train-2-{attempt}-stage",
            stage="train",
            part=0,
            message="no model\n" + "x\n" * 50,
        )
    journal.say(9, "run_ended", "report-4-0-stage", status="FAILED")
    text = summary(spec, journal.done(), nothing)
    assert text.startswith("**looked-at**: FAILED")
    assert text.count("- train failed: no model\n") == 2
    assert len(text.splitlines()) <= 12


def test_summary_of_a_run_that_has_just_been_submitted(spec: RunSpec) -> None:
    text = summary(spec, [], Results([], ["final: shard-0-of-2.jsonl not finished; hint: regrow resume looked-at"], []))
    assert text.splitlines()[:2] == ["**looked-at**: RUNNING after 0s on local", "- not evaluated yet: 1 model"]


def test_other_records_than_in_an_undisturbed_training_are_said(
    spec: RunSpec, preempted: list[Entry], nothing: Results
) -> None:
    folder = spec.paths.checkpoints
    folder.mkdir(parents=True, exist_ok=True)
    lines = [Begun("train-1-0", "c", 0, 1), Step(1, "a"), Begun("train-1-1", "c", 0, 1), Step(1, "b")]
    ledger_file(folder, 0).write_bytes(to_lines(lines))
    said = "rank 0: step 1 took other records when it was done again"
    assert said in page(spec, preempted, nothing, {})
    assert f"- other records than in an undisturbed training: {said}" in summary(spec, preempted, nothing)
