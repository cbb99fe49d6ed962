"""ConfigError, which tells users why a config cannot work; and the exit codes."""

import difflib
import re
from collections.abc import Iterable


class ConfigError(ValueError):
    """What was set, what was found, and in a line `hint: ` what to write instead. The CLI prints it and exits with 2."""

    def hints(self) -> list[tuple[str, str]]:
        """Each fault in the message with its hint; empty: without one."""
        return re.findall(r"(.+?)(?:\nhint: ([^\n]*)(?:\n|\Z)|\Z)", str(self), re.DOTALL)


class NoAnswer(ConfigError):
    """Slurm's controller does not answer. Whether it will carry out what it was asked is unknown."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The most similar known word as a question, else all of them."""
    words = sorted(known)
    return did_you_mean(word, words) or f"valid here: {', '.join(words)}"


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """The most similar known words as a question, the nearest first; empty: none is similar."""
    close = [
        f"`{found}`" for found in difflib.get_close_matches(word, list(known), n=most, cutoff=0.6 if most == 1 else 0.5)
    ]
    *others, last = close or [""]
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?" if last else ""


EXIT_FAILED, EXIT_CONFIG, EXIT_TEMPORARY = 1, 2, 75
"""The work failed; the config is wrong, and another attempt would fail too; not finished, to be continued."""
