"""From values to the units of a drawing, and the round numbers along an axis. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 520, 286
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 16, 50
"""Margins, in the drawing's units."""
TICKS = 5
SPARE = 0.04
"""Share of the values' span that is left free below and above them."""


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
        floor = low - spare if low < 0 or low - spare > 0 else 0.0  # what is never negative has no axis below zero
        return cls(extent(xs), y_range or (floor, high + spare))

    def across(self, x: float) -> float:
        return round(LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT), 1)

    def down(self, y: float) -> float:
        return round(HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - self.top - BOTTOM), 1)

    def point(self, x: float, y: float) -> str:
        return f"{self.across(x)},{self.down(y)}"


def extent(values: Sequence[float]) -> tuple[float, float]:
    """From the lowest to the highest, and never of no width."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = (abs(low) or 1.0) / 2
    # Neighbouring floats have no room for ticks between them.
    return (low, high) if high - low > 1e-9 * margin else (low - margin, high + margin)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between the two."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * count for count in range(first, last + 1)]


def number(value: float) -> str:
    """Short: 12,000, 0.25, 2e-05."""
    if not math.isfinite(value):
        return str(value)
    if value and (abs(value) < 0.001 or abs(value) >= 1e7):
        return f"{value:.3g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")
