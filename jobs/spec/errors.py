"""ConfigError: what users get for a config that cannot work."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """What was set, what was found, what to write instead. The CLI prints it and exits 2."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar known word as a hint, else all of them."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"valid here: {', '.join(words)}"


EXIT_FAILED, EXIT_CONFIG, EXIT_TEMPORARY = 1, 2, 75
"""The work failed; the config is wrong, so that another attempt would fail as well; not finished, come back."""
