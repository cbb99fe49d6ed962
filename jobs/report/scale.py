"""Converts values to a drawing's units, and finds round numbers for an axis. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 520, 286
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 16, 50
"""Margins, in the drawing's units."""
TICKS = 5
SPARE = 0.04
"""Free space below and above the values, as a share of their span."""


@dataclass(frozen=True)
class Scale:
    """The values at the ends of both axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    top: float = TOP

    @classmethod
    def around(cls, xs: Sequence[float], ys: Sequence[float], y_range: tuple[float, float] | None) -> "Scale":
        low, high = extent(ys)
        spare = SPARE * (high - low)
        floor = low - spare if low < 0 or low - spare > 0 else 0.0  # no axis below zero without negative values
        return cls(extent(xs), y_range or (floor, high + spare))

    def across(self, x: float) -> float:
        return round(LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT), 1)

    def down(self, y: float) -> float:
        return round(HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - self.top - BOTTOM), 1)

    def point(self, x: float, y: float) -> str:
        return f"{self.across(x)},{self.down(y)}"


def extent(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest value; a span of no width is widened."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = (abs(low) or 1.0) / 2
    # Between neighbouring floats there is no room for ticks.
    return (low, high) if high - low > 1e-9 * margin else (low - margin, high + margin)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between `low` and `high`."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * count for count in range(first, last + 1)]


def number(value: float) -> str:
    """A number as short text: 12,000, 0.25, 2e-05."""
    if not math.isfinite(value):
        return str(value)
    if value and (abs(value) < 0.001 or abs(value) >= 1e7):
        return f"{value:.3g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")
