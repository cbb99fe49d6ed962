"""A chart as SVG: without scripts, with the page's colour variables, and with a text that says the same. Pure."""

import math
from collections.abc import Iterator
from html import escape

from jobs.report.charts import MOST_POINTS, Chart, Mark, Point, Series, style_of
from jobs.report.scale import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, number, ticks

MOST_DOTS = 40
"""A series with more points is drawn without dots."""
MANY_POINTS = 200
"""A series with more points is drawn as a thinner line."""
LABEL_ROWS, ROW_HEIGHT, CHARACTER_WIDTH = 3, 17, 9.8
"""The rows for labels of marks above the plot, a row's height, a character's width. A mark without room has no label."""


def svg(chart: Chart, key: str) -> str:
    """The drawing. `key`: a prefix that makes its ids unique on the page."""
    scale, labels = _scale(chart), _labelled(chart)
    top = TOP + ROW_HEIGHT * (max((row for _, row in labels if row is not None), default=-1) + 1)
    scale = Scale(scale.x, scale.y, top)
    parts = [
        *_axes(chart, scale),
        *(_mark_line(mark, row, scale) for mark, row in labels),
        *(_mark_label(mark, row, scale) for mark, row in labels if row is not None),
        *(part for index, series in enumerate(chart.drawn) for part in _line(series, index, chart.x_label, scale)),
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{key}-title {key}-text">'
        f'<title id="{key}-title">{escape(chart.title)}</title><desc id="{key}-text">{escape(chart.summary)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def _scale(chart: Chart) -> Scale:
    points = [point for series in chart.series for point in series.finite]
    ends = [end for series in chart.series for _, low, high in series.bands for end in (low, high)]
    xs = [*(x for x, _ in points), *(mark.x for mark in chart.marks)]
    return Scale.around(xs, [*(y for _, y in points), *ends], chart.y_range)


def _labelled(chart: Chart) -> list[tuple[Mark, int | None]]:
    """Each mark with the row of its label, so that no two labels overlap; None: there is no room for the label."""
    scale, free, found = _scale(chart), [0.0] * (LABEL_ROWS if chart.has_labels else 0), []
    for mark in sorted(chart.marks, key=lambda mark: mark.x):
        start, end = _label_span(mark, scale)
        row = next((row for row, end_before in enumerate(free) if end_before <= start), None)
        if row is not None:
            free[row] = end + 6
        found.append((mark, row))
    return found


def _label_span(mark: Mark, scale: Scale) -> Point:
    """The start and the end of a mark's label: to the right of its line, or to the left if there is no room."""
    at, width = scale.across(mark.x), CHARACTER_WIDTH * len(_label(mark))
    return (at - width, at) if at + width > WIDTH - RIGHT else (at, at + width)


def _label(mark: Mark) -> str:
    return f"{mark.label}, {number(mark.x)}"


def _axes(chart: Chart, scale: Scale) -> Iterator[str]:
    for y in ticks(*scale.y):
        at = scale.down(y)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{number(y)}</text>'
    bottom = HEIGHT - BOTTOM
    for x in ticks(*scale.x):
        at = scale.across(x)
        yield f'<line class="axis" x1="{at}" x2="{at}" y1="{bottom}" y2="{bottom + 4}"/>'
        yield f'<text class="tick" x="{at}" y="{bottom + 19}" text-anchor="middle">{number(x)}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    yield f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(chart.x_label)}</text>'


def _mark_line(mark: Mark, row: int | None, scale: Scale) -> str:
    at, top = scale.across(mark.x), _label_top(row or 0)
    line = f'<line x1="{at}" x2="{at}" y1="{top}" y2="{HEIGHT - BOTTOM}"/>'
    return f'<g class="{_mark_style(mark)}"><title>{escape(_label(mark))}</title>{line}</g>'


def _mark_label(mark: Mark, row: int, scale: Scale) -> str:
    """The label; drawn after all lines, so that no line crosses it."""
    at = scale.across(mark.x)
    is_left = _label_span(mark, scale)[0] < at
    anchor, beside = ("end", at - 4) if is_left else ("start", at + 4)
    return (
        f'<g class="{_mark_style(mark)}"><text x="{beside}" y="{_label_top(row) + 11}" text-anchor="{anchor}">'
        f"{escape(_label(mark))}</text></g>"
    )


def _label_top(row: int) -> float:
    return TOP - 6 + ROW_HEIGHT * row


def _mark_style(mark: Mark) -> str:
    return "mark fault" if mark.is_fault else "mark"


def _line(series: Series, index: int, x_label: str, scale: Scale) -> Iterator[str]:
    style = style_of(series, index)
    dense = " dense" * (len(series.finite) > MANY_POINTS)
    yield from _bands(series, style, scale)
    for stretch in _stretches(series):
        path = " ".join(scale.point(x, y) for x, y in _thinned(stretch))
        yield f'<polyline class="line {style}{dense}" points="{path}"/>'
        if len(stretch) == 1 or (len(series.finite) <= MOST_DOTS and not series.is_reference):
            yield from (_dot(series, style, point, x_label, scale) for point in stretch)


def _dot(series: Series, style: str, point: Point, x_label: str, scale: Scale) -> str:
    x, y = point
    interval = next((f" ({number(low)} – {number(high)})" for at, low, high in series.bands if at == x), "")
    told = escape(f"{series.name}: {number(y)}{interval} at {x_label} {number(x)}")
    return f'<circle class="dot {style}" cx="{scale.across(x)}" cy="{scale.down(y)}" r="3.5"><title>{told}</title></circle>'


def _bands(series: Series, style: str, scale: Scale) -> Iterator[str]:
    """The intervals: an area between neighbouring points with an interval, and a bar at each point."""
    of_x, stretch = {x: (low, high) for x, low, high in series.bands}, []
    for x, _ in [*series.points, (math.inf, 0.0)]:
        if x in of_x:
            stretch.append((x, *of_x[x]))
        elif stretch:
            outline = [scale.point(x, high) for x, _, high in stretch]
            outline += [scale.point(x, low) for x, low, _ in reversed(stretch)]
            yield f'<polygon class="band {style}" points="{" ".join(outline)}"/>'
            stretch = []
    for x, low, high in series.bands:
        at = scale.across(x)
        yield f'<line class="whisker {style}" x1="{at}" x2="{at}" y1="{scale.down(low)}" y2="{scale.down(high)}"/>'


def _stretches(series: Series) -> list[list[Point]]:
    """The points, split at breaks and at points that are not numbers: the line has gaps there."""
    found: list[list[Point]] = [[]]
    for index, point in enumerate(series.points):
        if not math.isfinite(point[1]) or index in series.breaks:
            found.append([])
        if math.isfinite(point[1]):
            found[-1].append(point)
    return [stretch for stretch in found if stretch]


def _thinned(points: list[Point]) -> list[Point]:
    """Fewer points, but with every peak: the lowest and the highest point of each stretch, and both ends."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(2 * len(points) / MOST_POINTS)
    thinned = [points[0]]
    for first in range(0, len(points), size):
        stretch = points[first : first + size]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        thinned += sorted(ends)
    return [*thinned, points[-1]]
