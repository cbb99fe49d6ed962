"""Types the commands of README.md and the tutorial on a real Slurm, as a reader does."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from blocks import DEV_CLUSTER, YOUR_CLUSTER, Clone, blocks, words
from dev_cluster.cluster import DevCluster
from dev_cluster.processes import wait_until
from entries import named
from patience import HANGS_AFTER_SECONDS

from callbacks.shared.journal import Entry, read_journal
from jobs.spec.paths import RunPaths

IS_BACK = re.compile(r"^mine +running +train .* 2 ", re.MULTILINE)
"""The second attempt runs already: a reader may type slowly, and the page shows both."""
READ_ONLY = {"sinfo", "squeue", "sacct"}
SHOWING = {("scontrol", "show"), ("sacctmgr", "show")}
Condition = Callable[[list[Entry], str], bool]
"""A condition on the run's journal and on the output of squeue."""


@pytest.fixture
def clone(cluster: DevCluster, clean_environment: dict[str, str]) -> Iterator[Clone]:
    """A clone whose dev cluster runs in the clone's home. The path is short: a socket's path has at most 107 characters.

    Its toy config takes fewer records, since tokenising all of them would take a quarter of the tutorial's time.
    """
    clone = Clone.make(cluster.folder.parent, clean_environment)
    config = clone.folder / "axolotl_configs" / "tiny_cpu.yml"
    text = config.read_text(encoding="utf-8")
    assert "repeat: 3}" in text
    assert "take: 6000}" in text
    config.write_text(text.replace("repeat: 3}", "repeat: 1}").replace("take: 6000}", "take: 1000}"), encoding="utf-8")
    with DevCluster(clone.dev_cluster).held():
        yield clone


class Reader:
    """Types each command at the right time, as a reader who watches the run does."""

    def __init__(self, clone: Clone) -> None:
        self._clone = clone
        self.printed: dict[str, list[str]] = {}
        """Command → all its outputs, in order."""

    def type(self, command: str) -> None:
        key = command.partition("#")[0].strip()
        self._wait(BEFORE, key)
        self.printed.setdefault(key, []).append(self._clone.type(command))
        self._wait(AFTER, key)

    def _wait(self, conditions: Mapping[str, Condition], key: str) -> None:
        """Wait for the command's conditions in the journal and the queue: `regrow status` in a loop would slow the run down."""
        for holds in [condition for beginning, condition in conditions.items() if key.startswith(beginning)]:
            wait_until(partial(self._holds, holds), HANGS_AFTER_SECONDS, f"what the pages say of: {key}")

    def _holds(self, condition: Condition) -> bool:
        entries = read_journal(RunPaths(self._clone.folder / "runs" / "mine").journal)
        return condition(entries, DevCluster(self._clone.dev_cluster).run("squeue", "--noheader").stdout)


def of_train(entries: list[Entry], name: str) -> list[Any]:
    """The events with this name from the train stage and its ranks."""
    return [entry for entry in named(entries, name) if entry.writer.startswith("train-")]


BEFORE: dict[str, Condition] = {
    "regrow dev-cluster preempt": lambda entries, queue: any(
        "loss" in entry.values for entry in of_train(entries, "metrics")
    ),
    "regrow logs mine": lambda entries, queue: len(of_train(entries, "stage_started")) == 2,
    "regrow cancel mine": lambda entries, queue: len(of_train(entries, "training_began")) == 2,
}
"""Command → the condition that the pages tell the reader to wait for before typing it."""
AFTER: dict[str, Condition] = {
    "regrow dev-cluster preempt": lambda entries, queue: bool(of_train(entries, "left")),
    "regrow cancel mine": lambda entries, queue: not queue,
}
"""Command → the effect that the pages say it has."""


@contextmanager
def following_log(clone: Clone) -> Iterator[Path]:
    """The output file of `regrow logs mine --stage train -f`, which runs beside the reader until the run's end."""
    printed = clone.folder.parent / "followed.log"
    with (
        printed.open("wb") as output,
        subprocess.Popen(
            ["regrow", "logs", "mine", "--stage", "train", "--follow"],
            cwd=clone.folder, env=clone.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
        ) as follower,
    ):  # fmt: skip
        try:
            yield printed
            assert follower.wait(HANGS_AFTER_SECONDS) == 0
        finally:
            follower.kill()


def test_tutorial_goes_as_it_is_told(clone: Clone) -> None:
    reader = Reader(clone)
    with ExitStack() as followers:
        for command in tutorial():
            match command.partition("#")[0].split():
                case ["regrow", "resume", *_]:
                    followers.close()  # the cancellation has ended the log
                case ["regrow", "dev-cluster", "down"]:
                    look_at_the_site(clone)
            reader.type(command)
            if command.startswith("regrow submit"):
                followed = followers.enter_context(following_log(clone))
    assert not clone.dev_cluster.exists()
    preempted, cancelled, _ = of_train(read_journal(RunPaths(clone.folder / "runs" / "mine").journal), "stage_started")
    assert followed.read_bytes() == b"".join(Path(attempt.log).read_bytes() for attempt in (preempted, cancelled))
    (submitted,) = reader.printed[
        "regrow submit axolotl_configs/tiny_cpu.yml --cluster dev --name mine --set max_steps=200"
    ]
    assert "hint: `regrow status mine` shows the run" in submitted
    (resumed,) = reader.printed["regrow resume mine --wait"]
    assert "goes on from step" in resumed
    assert "the job was cancelled" not in resumed  # that was before
    assert "report has finished" in resumed
    waits, is_preempted, is_cancelled, has_finished = reader.printed["regrow status mine"]
    assert "waiting" in waits or "running" in waits
    assert "train was preempted at step" in is_preempted or IS_BACK.search(is_preempted), is_preempted
    assert "cancelled" in is_cancelled
    assert "finished" in has_finished
    (report,) = reader.printed["regrow report mine"]
    assert Path(report.strip()).is_file()
    (log,) = reader.printed["regrow logs mine --stage train"]
    assert "==> train, job" in log
    assert "attempt 2" in log


def tutorial() -> list[str]:
    """All commands that the tutorial tells readers to type on the dev cluster."""
    pages = [block for block in blocks(DEV_CLUSTER) if block.page.name == "tutorial.md"]
    return [command for block in pages for command in block.commands]


def look_at_the_site(clone: Clone) -> None:
    """Type the read-only commands that the pages have for the reader's own Slurm: each must succeed."""
    asked = 0
    for block in blocks(YOUR_CLUSTER):
        for command in block.commands:
            for program, *arguments in filter(None, words(command)):
                if program in READ_ONLY or (program, *arguments[:1]) in SHOWING:
                    clone.type(f"export SLURM_CONF={clone.dev_cluster}/slurm.conf; {command}")
                    asked += 1
    assert asked
