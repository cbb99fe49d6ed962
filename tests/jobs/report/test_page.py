"""The page shows all that is known about a run and nothing false, and foreign texts in it can do no harm.

Over 250 lines: every test reads the same page, with the same reader and the same run.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from answers import rows

from callbacks.shared import events
from callbacks.shared.journal import Entry
from callbacks.shared.predictions import write_rows
from jobs.evaluation.results import ModelResult, Results
from jobs.report.figures import MOST_INTERVALS, generation_charts, generation_intervals
from jobs.report.page import page
from jobs.spec.run_spec import RunSpec

VOID = {"meta", "link", "br", "img", "hr", "input"}
RESUME = "final: shard-0-of-2.jsonl not finished; hint: regrow resume looked-at"


class Reader(HTMLParser):
    """Parses a page. Every tag that is opened must be closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> within {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data

    def of(self, *names: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.tags if tag in names)


def titles(text: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", text)


@pytest.fixture
def full(spec: RunSpec, preempted: list[Entry], evaluated: list[ModelResult]) -> str:
    intervals = {20: {"gen_offender_presence_f1": (0.1, 0.3)}}
    return page(spec, preempted, Results(evaluated[:1], [], []), intervals)


def test_page_has_its_sections_in_order(full: str) -> None:
    assert titles(full) == [
        "Training",
        "Generation on validation records",
        "Attempts",
        "Where the time went",
        "Memory and use",
        "Evaluation of 60 records",
        "How it was made",
    ]


def test_page_tells_the_key_figures(full: str) -> None:
    figures = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", full))
    assert figures["steps"] == "80 / 80"
    assert figures["last loss"] == "0.125"
    assert (figures["attempts"], figures["preemptions"], figures["steps done again"]) == ("3", "2", "5")
    assert figures["from submission to end"] == "3m 40s"
    assert "2026-11-24 22:06:40 UTC" in full


def test_both_preemptions_are_marked_in_every_chart_of_the_training(full: str) -> None:
    training = full.partition('id="training"')[2].partition("</section>")[0]
    assert training.count("<svg") - training.count('aria-hidden="true"><line') == 3
    assert training.count("<title>preempted, 30</title>") == training.count("<title>preempted, 50</title>") == 3


def test_page_is_well_formed_and_loads_nothing(full: str) -> None:
    read = Reader(full)
    assert "script" not in dict(read.tags)
    assert not [attributes for attributes in read.of(*dict(read.tags)) if attributes.get("src")]
    assert all(str(attributes["href"]).startswith("#") for attributes in read.of("a", "link"))
    assert "url(" not in full and "@import" not in full
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(attributes["href"])[1:] for attributes in read.of("a")} <= set(ids)


def test_page_can_be_read_without_seeing_it(full: str) -> None:
    read = Reader(full)
    assert next(read.of("html")) == {"lang": "en"}
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") in ("row", "col") for attributes in read.of("th"))
    assert len(list(read.of("caption"))) == len(list(read.of("table")))
    drawn = [attributes for attributes in read.of("svg") if "aria-hidden" not in attributes]
    assert drawn and all(attributes["role"] == "img" and attributes["aria-labelledby"] for attributes in drawn)


def test_texts_of_others_are_texts(full: str) -> None:
    assert "<img" not in full and "&lt;/script&gt;&lt;img src=x onerror=window.hacked=1&gt;" in full
    full.encode("utf-8")  # a lone surrogate would raise an error


def test_hostile_names_and_messages_are_texts_too(spec: RunSpec, journal: Any, nothing: Results) -> None:
    evil = "<img src=x>\x00\ud800"
    journal.start(1, evil, "2")
    journal.entries[-1].stage = "train"
    journal.entries[-1].host = evil
    journal.say(2, "stage_failed", "train-2-0-stage", stage="train", part=0, message=evil)
    journal.say(3, "environment", "train-2-0-rank0", values={evil: evil})
    text = page(spec.model_copy(update={"name": evil, "config": evil}), journal.done(), nothing, {})
    assert "<img" not in text
    text.encode("utf-8")


def test_environment_that_changed_between_attempts_shows_both(full: str) -> None:
    assert "2.13.0 → 2.14.0" in Reader(full).text


def test_report_that_is_made_anew_does_not_make_the_run_longer(
    spec: RunSpec, preempted: list[Entry], nothing: Results, journal: Any
) -> None:
    journal.say(9000, "reported", "login-2-cli", summary="")
    text = page(spec, journal.done(), nothing, {})
    assert "3m 40s" in text and "ended 2026-11-24 22:10:20 UTC" in text


def test_step_that_was_done_again_is_drawn_once(full: str) -> None:
    assert full.count('<tr><th scope="row">50</th><td>0.2</td><td></td></tr>') == 1


def test_run_of_which_nothing_is_known_yet(spec: RunSpec, nothing: Results) -> None:
    text = page(spec, [], nothing, {})
    Reader(text)
    assert titles(text) == ["How it was made"]
    assert "Still running" in text


def test_run_that_goes_on_is_not_said_to_have_failed(spec: RunSpec, journal: Any) -> None:
    journal.say(0, "submitted", "login-1-cli", stage="train", job_id="2")
    journal.train(5, 0, 0, 20, 80)
    text = page(spec, journal.done(), Results([], [RESUME], []), {})
    assert "Still running" in text and "still running" in text
    assert "Not evaluated yet" in text and "hint: regrow resume" not in text
    assert "ended without a message" not in text and "20 / 80" in text


def test_failed_run_says_why_on_top_and_what_to_type(spec: RunSpec, journal: Any) -> None:
    journal.start(1, "train", "2")
    journal.say(2, "stage_failed", "train-2-0-stage", stage="train", part=0, message="no such model\nType: hf download")
    journal.leave(2, "train", "2", "config")
    journal.say(3, "run_ended", "report-4-0-stage", status="FAILED")
    text = page(spec, journal.done(), Results([], [RESUME], []), {})
    top = text.partition("<section")[0]
    assert "✕ Failed" in top and "no such model" in top
    assert titles(text)[-2] == "Failures"
    assert "config error" in text and "hint: regrow resume looked-at" in text


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_loss_that_is_no_number_breaks_nothing(
    spec: RunSpec, preempted: list[Entry], nothing: Results, loss: float
) -> None:
    for entry in preempted:
        if isinstance(entry, events.Metrics) and entry.step > 60:
            entry.values["loss"] = loss
    text = page(spec, preempted, nothing, {})
    assert "values are not numbers" in text
    assert "nan," not in text and ",nan" not in text


def test_run_with_one_logged_step(spec: RunSpec, journal: Any, nothing: Results) -> None:
    journal.train(5, 0, 0, 5, 5)
    text = page(spec, journal.done(), nothing, {})
    assert '<circle class="dot s0"' in text


def test_evaluation_without_training(evaluation: RunSpec, journal: Any, evaluated: list[ModelResult]) -> None:
    for part in range(300):
        journal.evaluate_part(5, part, 300)
    journal.say(30, "run_ended", "report-4-0-stage", status="FINISHED")
    text = page(evaluation, journal.done(), Results(evaluated, [], []), {})
    Reader(text)
    assert titles(text) == [
        "Attempts",
        "Where the time went",
        "Memory and use",
        "Evaluation of 60 records",
        "How it was made",
    ]
    assert "evaluate, 288 more attempts" in text
    assert "final against checkpoint-40" in text and "McNemar" in text
    assert "(best)" in text and "done again" not in text
    assert len(text) < 300_000
    assert "Criteria of success" not in text, "no run trained these models"


def test_criteria_are_told_of_two_models_that_runs_have_trained(
    evaluation: RunSpec, journal: Any, evaluated: list[ModelResult]
) -> None:
    journal.say(30, "run_ended", "report-4-0-stage", status="FINISHED")
    run_dir = str(evaluation.paths.run_dir)
    trained = [replace(each, model=each.model.model_copy(update={"run_dir": run_dir})) for each in evaluated]
    text = page(evaluation, journal.done(), Results(trained, [], []), {})
    Reader(text)
    assert "Criteria of success: final in place of checkpoint-40" in text
    assert "both models come from one training" in text


@pytest.mark.long
def test_chart_of_thousands_of_steps_has_a_short_table(spec: RunSpec, journal: Any, nothing: Results) -> None:
    for step in range(1, 20_001):
        journal.say(step, "metrics", "train-2-0-rank0", step=step, values={"loss": 1 / step})
    text = page(spec, journal.done(), nothing, {})
    assert "20,000 rows, one of every 100 is shown" in text and "Of 20,000 points" in text
    assert len(text) < 100_000


def test_intervals_come_from_the_predictions_that_are_still_there(spec: RunSpec, preempted: list[Entry]) -> None:
    spec.paths.checkpoints.mkdir(parents=True)
    write_rows(spec.paths.checkpoints / "gen_predictions_step40.jsonl", rows(50, 3))
    write_rows(spec.paths.checkpoints / "gen_predictions_step60.jsonl", [])
    found = generation_intervals(spec, preempted)
    assert set(found) == {40, 60}
    low, high = found[40]["gen_offender_presence_f1"]
    assert 0 < low < high <= 1
    chart = next(each for each in generation_charts(spec, preempted, found) if each.title == "Presence F1")
    own, rule = chart.series
    assert [x for x, _ in own.points] == [20, 40] and [x for x, _, _ in own.bands] == [40]
    assert rule.is_reference and len(rule.points) == 3


@pytest.mark.long
def test_only_so_many_intervals_are_computed(spec: RunSpec, journal: Any, tmp_path: Path) -> None:
    spec.paths.checkpoints.mkdir(parents=True)
    for step in range(MOST_INTERVALS + 5):
        journal.say(step, "metrics", "train-2-0-rank0", step=step, values={"gen_json_parse_rate": 0.5})
        write_rows(spec.paths.checkpoints / f"gen_predictions_step{step}.jsonl", rows(2, step))
    assert sorted(generation_intervals(spec, journal.done())) == list(range(5, MOST_INTERVALS + 5))
