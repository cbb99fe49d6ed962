"""Waiting for a controller that is down, busy or restarted: ask again, after pauses that grow."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TypeVar

from jobs.spec.errors import NoAnswer

Answer = TypeVar("Answer")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds. A controller that comes back is noticed soon, and one that is busy is not asked more than twice a minute."""


@dataclass
class Patience:
    """How long to wait for answers in all, and who is told of each pause."""

    seconds: float
    """0: ask once."""
    tell: Callable[[str, float], None]
    """Called before each pause with Slurm's error and the pause's length in seconds."""
    _began: float | None = field(default=None, init=False)
    _pause: float = field(default=FIRST_PAUSE, init=False)

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question that may be asked twice. What changes something may be carried out later: look before.

        Raises:
            NoAnswer: there was none in time.
        """
        while True:
            try:
                return question()
            except NoAnswer as error:
                self.pause(error)

    def pause(self, error: NoAnswer) -> None:
        """Wait before the next question.

        Raises:
            NoAnswer: the patience is at its end.
        """
        self._began = self._began or monotonic()
        if monotonic() - self._began + self._pause > self.seconds:
            raise error
        self.tell(str(error), self._pause)
        sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
