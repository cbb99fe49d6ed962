"""Charts: for any values, the drawing is valid and describes what it shows."""

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from jobs.report.charts import MOST_POINTS, Chart, Mark, Point, Series
from jobs.report.drawing import LABEL_ROWS, svg
from jobs.report.scale import Scale, number, ticks


def drawn(chart: Chart) -> ElementTree.Element:
    """The drawing, parsed; a drawing that is not XML raises an error."""
    return ElementTree.fromstring(svg(chart, "k"))  # noqa: S314 (our own text)


def line_of(points: list[Point]) -> Chart:
    return Chart("Loss", "step", [Series("training", points)])


def coordinates(element: ElementTree.Element) -> list[float]:
    names = {"points", "x1", "y1", "cx", "cy"}
    texts = [value for each in element.iter() for name, value in each.attrib.items() if name in names]
    return [float(found) for text in texts for found in re.split(r"[ ,]", text)]


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([(1, 2.0)], id="one point"),
        pytest.param([(1, 0.0), (2, 0.0)], id="all zero"),
        pytest.param([(1, 3.0), (2, 3.0 + 1e-15)], id="as good as equal"),
        pytest.param([(1, -3.0), (2, 1e12)], id="far apart"),
        pytest.param([(1, 1e-9), (1_000_000, 2e-9)], id="tiny"),
    ],
)
def test_chart_is_drawn_within_its_frame(points: list[Point]) -> None:
    chart = drawn(line_of(points))
    assert all(-1 <= value <= 521 for value in coordinates(chart))
    assert chart.findall("polyline")


def test_chart_of_nothing_is_drawn_empty() -> None:
    chart = line_of([])
    assert chart.drawn == []
    assert not drawn(chart).findall("polyline")


def test_value_that_is_no_number_is_a_gap_with_a_note() -> None:
    chart = line_of([(1, 1.0), (2, 2.0), (3, math.nan), (4, math.inf), (5, 2.0), (6, 1.0)])
    assert len(drawn(chart).findall("polyline")) == 2
    assert chart.notes == ["2 values are not numbers (NaN or infinite): the line has gaps there."]
    assert "nan" not in svg(chart, "k")
    assert line_of([(1, math.nan)]).drawn == []


def test_long_series_is_thinned_keeps_its_peaks_and_says_so() -> None:
    points = [(step, 100.0 if step == 7777 else step % 10) for step in range(20_000)]
    chart = line_of(points)
    (line,) = drawn(chart).findall("polyline")
    shown = line.attrib["points"].split()
    assert len(shown) <= MOST_POINTS + 4
    assert min(float(point.split(",")[1]) for point in shown) < 30, "the peak is there"
    assert chart.notes == ["Of 20,000 points, only the lowest and highest of each stretch are drawn."]


def test_marks_are_lines_with_labels_that_do_not_overlap() -> None:
    series = [Series("training", [(0, 1.0), (100, 2.0)])]
    few = drawn(Chart("Loss", "step", series, [Mark(30, "preempted"), Mark(32, "crashed", is_fault=True)]))
    marks = few.findall("g")
    assert [mark.findtext("title") for mark in marks if mark.find("line") is not None] == [
        "preempted, 30",
        "crashed, 32",
    ]
    assert [mark.attrib["class"] for mark in marks] == ["mark", "mark fault"] * 2
    assert len({text.attrib["y"] for text in few.findall("g/text")}) == 2
    many = Chart("Loss", "step", series, [Mark(50, "preempted")] * 40)
    assert len(drawn(many).findall("g/line")) == 40
    assert len(drawn(many).findall("g/text")) == LABEL_ROWS
    assert not drawn(replace(many, has_labels=False)).findall("g/text")


def test_text_alternative_tells_the_values_and_what_happened() -> None:
    chart = Chart(
        "Loss", "step", [Series("training", [(0, 3.0), (9, 1.5)])], [Mark(4, "preempted"), Mark(7, "preempted")]
    )
    found = drawn(chart)
    assert found.attrib["role"] == "img"
    assert found.attrib["aria-labelledby"].split() == [
        found.find("title").attrib["id"],
        found.find("desc").attrib["id"],
    ]  # type: ignore[union-attr]
    assert found.findtext("desc") == chart.summary == (
        "Loss by step. training: from 3 to 1.5, between 1.5 and 3. Marked: preempted at 4, 7."
    )  # fmt: skip


def test_interval_is_an_area_that_ends_where_there_is_none() -> None:
    points = [(step, 0.5) for step in range(5)]
    chart = drawn(
        Chart("F1", "step", [Series("F1", points, [(0, 0.4, 0.6), (1, 0.4, 0.6), (3, 0.4, 0.6), (4, 0.3, 0.6)])])
    )
    assert len(chart.findall("polygon")) == 2
    assert len([line for line in chart.findall("line") if line.attrib["class"].startswith("whisker")]) == 4
    assert [dot.findtext("title") for dot in chart.findall("circle")][2:4] == [
        "F1: 0.5 at step 2",
        "F1: 0.5 (0.4 – 0.6) at step 3",
    ]


def test_names_are_text() -> None:
    chart = drawn(Chart("<b>&", "a<b", [Series('"<i>', [(0, 1.0), (1, 2.0)])], [Mark(0, "</svg>")]))
    assert chart.findtext("title") == "<b>&"


def test_legend_names_the_lines_of_which_there_are_several() -> None:
    one, other, rule = (Series(name, [(0, 1.0)], is_reference=name == "rule") for name in ("one", "other", "rule"))
    assert [style for _, style in Chart("", "", [one, other]).legend] == ["s0", "s1"]
    assert [series.name for series, _ in Chart("", "", [one, rule]).legend] == ["rule"]
    assert Chart("", "", [one, Series("empty", [])]).legend == []


def test_axis_begins_at_zero_rather_than_below() -> None:
    assert Scale.around([0, 1], [0.1, 10.0], None).y[0] == 0.0
    assert Scale.around([0, 1], [9.0, 10.0], None).y[0] > 8
    assert Scale.around([0, 1], [-1.0, 10.0], None).y[0] < -1
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize(
    ("value", "text"), [(12_000, "12,000"), (0.25, "0.25"), (2e-5, "2e-05"), (0, "0"), (math.nan, "nan")]
)
def test_number_is_short(value: float, text: str) -> None:
    assert number(value) == text
