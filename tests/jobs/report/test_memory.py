"""Memory: the sampled values over time, and their maximum."""

from typing import Any

from callbacks.shared.journal import Entry
from jobs.report.memory import MEGABYTE, peaks, system_charts


def test_samples_become_charts_broken_between_attempts(preempted: list[Entry]) -> None:
    charts = system_charts(preempted, preempted[0].time)
    assert [chart.title for chart in charts] == ["Memory of the node, GiB", "Memory of the GPUs, GiB", "Use, %"]
    node, gpus, use = charts
    assert node.x_label == "minutes since submission"
    assert node.series[0].points[0] == (25 / 60, 9000 * MEGABYTE)
    assert node.series[0].breaks == {0, 1, 2}
    assert [series.name for series in use.series] == ["CPU", "GPU 0"]
    assert gpus.y_range and gpus.y_range[0] == 0


def test_time_axis_is_in_hours_or_days_for_a_long_run(journal: Any) -> None:
    for hours, unit in ((1, "minutes"), (5, "hours"), (100, "days")):
        journal.say(hours * 3600, "system", "train-2-0-mlflow", values={"system/system_memory_usage_megabytes": 1.0})
        entries = journal.done()
        assert system_charts(entries, entries[0].time - 3600)[0].x_label == f"{unit} since submission"


def test_peaks_are_the_highest_of_each_kind_and_where(journal: Any) -> None:
    journal.say(1, "metrics", "train-2-0-rank0", step=1, values={"memory/max_active_GiB": 40.0, "loss": 99.0})
    journal.say(2, "metrics", "train-2-1-rank0", step=2, values={"memory/max_active_GiB": 71.5, "memory/none_GiB": 0.0})
    journal.evaluate_part(5, 0, 2)
    journal.evaluate_part(6, 1, 2)
    found = [(peak.what, peak.gib, peak.where) for peak in peaks(journal.done())]
    assert found == [("training: max active", 71.5, "train-2-1"), ("evaluation: peak of a job", 2.5, "evaluate-3_1-0")]
    assert peaks([]) == []


def test_charts_of_a_node_whose_clock_is_behind_are_drawn(preempted: list[Entry]) -> None:
    assert system_charts(preempted, preempted[-1].time + 600)[0].x_label == "minutes since submission"
