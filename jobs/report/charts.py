"""The content of a line chart, also as text. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.report.scale import number

MOST_POINTS = 400
"""Most points drawn of a series. Of a longer series, the lowest and the highest point of each stretch are drawn."""
Point = tuple[float, float]
Band = tuple[float, float, float]
"""x, low, high: an interval around the point of the same x."""


@dataclass(frozen=True)
class Series:
    """A line; its points are in order of x."""

    name: str
    points: Sequence[Point]
    bands: Sequence[Band] = ()
    is_reference: bool = False
    """True: the other lines are compared with this one. It is drawn dotted and without dots."""
    breaks: frozenset[int] = frozenset()
    """Indices of points before which the line is broken."""

    @property
    def finite(self) -> list[Point]:
        return [point for point in self.points if math.isfinite(point[1])]

    @property
    def told(self) -> str:
        values = [y for _, y in self.finite]
        if len(values) == 1:
            return f"{self.name}: {number(values[0])}"
        span = f"between {number(min(values))} and {number(max(values))}"
        return f"{self.name}: from {number(values[0])} to {number(values[-1])}, {span}"


@dataclass(frozen=True)
class Mark:
    """An event, drawn as a vertical line."""

    x: float
    label: str
    is_fault: bool = False


@dataclass(frozen=True)
class Chart:
    """The content of a line chart."""

    title: str
    x_label: str
    series: Sequence[Series]
    """The lines. A line without a single number is left out of the drawing and its legend."""
    marks: Sequence[Mark] = ()
    has_labels: bool = True
    """Whether the marks have labels in the drawing."""
    y_range: tuple[float, float] | None = None
    """The ends of the y axis; None: by the values."""

    @property
    def drawn(self) -> list[Series]:
        return [series for series in self.series if series.finite]

    @property
    def legend(self) -> list[tuple[Series, str]]:
        """Each line with its style. A single line is not listed, because the title names it."""
        styled = [(series, style_of(series, index)) for index, series in enumerate(self.drawn)]
        own = [each for each in styled if not each[0].is_reference]
        return [each for each in styled if each[0].is_reference or len(own) > 1]

    @property
    def summary(self) -> str:
        """The chart as text, for readers who cannot see the drawing."""
        told = "; ".join(series.told for series in self.drawn)
        labels = dict.fromkeys(mark.label for mark in self.marks)
        places = {label: ", ".join(number(mark.x) for mark in self.marks if mark.label == label) for label in labels}
        marked = "; ".join(f"{label} at {where}" for label, where in places.items())
        return f"{self.title} by {self.x_label}. {told}.{f' Marked: {marked}.' if marked else ''}"

    @property
    def notes(self) -> list[str]:
        """What the drawing leaves out."""
        gaps = sum(len(series.points) - len(series.finite) for series in self.series)
        most = max((len(series.points) for series in self.series), default=0)
        found = [f"{gaps:,} values are not numbers (NaN or infinite): the line has gaps there."] if gaps else []
        return found + (
            [f"Of {most:,} points, only the lowest and highest of each stretch are drawn."] * (most > MOST_POINTS)
        )


def style_of(series: Series, index: int) -> str:
    """The CSS class of the line with this index."""
    return "reference" if series.is_reference else f"s{index % 6}"
