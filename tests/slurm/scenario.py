"""A chaos scenario: what is done to a run, and what must hold afterwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

from dev_cluster.site import Site
from disturbed_run import STEPS, Run

LONGEST_WAIT_SECONDS = 60
"""Beside other work. One more wait in a queue would be longer at a real site."""


@dataclass(frozen=True)
class Scenario:
    """A row of the table."""

    name: str
    acts: Callable[[Run], None]
    """What is done to the run after its submission. After these acts, the run must finish by itself."""
    gates: tuple[str, ...] = ()
    site: Site = field(default_factory=Site)
    settings: tuple[str, ...] = ()
    """More `--set` values for this run only. Those in `reference` change the training, and the reference run gets them too."""
    reference: tuple[str, ...] = ()
    lost: int = 0
    """The most optimizer steps that may be done again, in total."""
    longest_wait: float = LONGEST_WAIT_SECONDS
    """The most seconds from the end of the training to the start of the evaluation, or of the report."""
    since: tuple[int, int] = (0, 0)
    """The first version of Slurm, year and month, that has what the row needs."""
    requeued_by: tuple[str, ...] | None = ()
    """Who must have brought the train stage back each time; None: this cannot be foreseen.

    `grace`: whoever does so after a job has left in its grace time, at this site; `any`: this depends on how early a signal came.
    """
    evaluate_starts: int = 1
    steps: int = STEPS
    """The optimizer steps of the training; fewer where it stops early."""
    setup: str = ":"
    """A shell line before each job's command."""
    prepares: bool = False
    """Whether the run must prepare its data itself, without the data that earlier rows have prepared."""
    shared: float | None = None
    """The runs lie on a file system that the nodes share, and know for so many seconds without asking; None: on this disk."""
    on_this_machine: bool = False
    """The jobs need libraries of this machine, which the roots of other versions of Slurm do not have."""
    around: Callable[[Run], AbstractContextManager[None]] = lambda run: nullcontext()
    """A context that is entered after the run's submission and left after its end, also after a failure."""

    @property
    def is_resumed(self) -> bool:
        """Whether the run ended before it was finished, and `regrow resume` finished it."""
        return self.requeued_by is not None and "resume" in self.requeued_by

    def is_for(self, release: tuple[int, int], slurm: str | None) -> bool:
        """Whether to run the row on this release. File systems and clocks are tried on the machine's own Slurm alone."""
        return release >= self.since and (slurm is None or (self.shared is None and not self.on_this_machine))

    def on(self, slurm: str | None) -> "Scenario":
        """The same row on this version of Slurm; None: the machine's own."""
        return replace(self, site=replace(self.site, slurm=slurm))

    @cached_property
    def slug(self) -> str:
        return "".join(c if c.isalnum() else "-" for c in self.name.lower())
