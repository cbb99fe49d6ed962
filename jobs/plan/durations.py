"""Durations as a person types them."""

import re

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms]?)")


def seconds_of(text: str) -> float:
    """The seconds of `2h`, `1h30m`, `90s` or `90`.

    Raises:
        ValueError: it is none.
    """
    parts = PARTS.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != "".join(text.split()):
        raise ValueError(f"{text}: not a duration\nhint: write e.g. 2h, 1h30m, 20m or 90s")
    if any(not unit for _, unit in parts[:-1]) or (len(parts) > 1 and not parts[-1][1]):
        raise ValueError(f"{text}: a number has no unit\nhint: write e.g. 1h30m")
    return sum(float(number) * UNITS[unit or "s"] for number, unit in parts)
