"""An attempt of a run at a site that the test chooses, and a fake Slurm that gives set answers and notes each question."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from entries import fresh
from world import REPO_ROOT

from callbacks.shared.events import Event
from callbacks.shared.journal import Journal, read_journal
from jobs.node.attempt import Attempt
from jobs.node.lease import Lease
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run
from jobs.spec.site_facts import PartitionFacts, SiteFacts
from jobs.spec.stages import Stage, StageJob

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
RUNNING = {
    "JobId": "2", "JobState": "RUNNING", "Requeue": "1", "Restarts": "0", "StartTime": "1000", "EndTime": "9999999999",
    "TimeLimit": "UNLIMITED", "PreemptTime": "None",
}  # fmt: skip
FAKE = """#!/bin/sh
# {program} of a Slurm that is not there: notes the question, and the journal at that moment; answers from a file.
echo "{program} $*" >> {folder}/asked
cat {journal}/*.jsonl > {folder}/journal-at-$(wc -l < {folder}/asked) 2>/dev/null
for answer in {folder}/{program}-$1 {folder}/{program}; do
    [ -e $answer.error ] && {{ cat $answer.error >&2; exit 1; }}
    [ -e $answer ] && {{ cat $answer; exit 0; }}
done
exit 0
"""


@dataclass(frozen=True)
class Slurm:
    """Executables on PATH in place of scontrol and sbatch: a test sets their answers and reads the questions."""

    folder: Path

    def job_is(self, **fields: str) -> None:
        line = " ".join(f"{key}={value}" for key, value in (RUNNING | fields).items())
        (self.folder / "scontrol-show").write_text(line + "\n")

    def refuses(self, command: str, words: str) -> None:
        (self.folder / f"{command}.error").write_text(words)

    def accepts(self, command: str) -> None:
        """From now on it does not refuse any more."""
        (self.folder / f"{command}.error").unlink()

    @property
    def asked(self) -> list[str]:
        """All questions except those for the job's record."""
        file = self.folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if not line.startswith("scontrol show job")]

    def journal_at(self, question: str) -> list[str]:
        """The names of the events that stood in the journal when this question was asked."""
        lines = (self.folder / "asked").read_text().splitlines()
        number = next(index for index, line in enumerate(lines, 1) if line.startswith(question))
        text = (self.folder / f"journal-at-{number}").read_text()
        return [json.loads(line)["event"] for line in text.splitlines()]


@dataclass(frozen=True)
class Here:
    """One attempt of the train stage, in a run of four jobs: 1 prepare, 2 train, 3 evaluate, 4 report."""

    attempt: Attempt
    slurm: Slurm

    def says(self, event: str, writer: str = "stage", **fields: object) -> None:
        """Write an event of this attempt. `writer` may also be another one: `login-1-cli`, or a writer of an earlier attempt."""
        stem = writer if "-" in writer else f"{self.attempt.name}-{writer}"
        Journal(self.attempt.spec.paths.journal / f"{stem}.jsonl").write(fresh(event, **fields))

    @property
    def entries(self) -> list[Event]:
        return read_journal(self.attempt.spec.paths.journal)

    def at_site(
        self, preempt_mode: str = "REQUEUE", grace_seconds: int = 10, version: str = "22.05.8", **facts: Any
    ) -> "Here":
        """The same attempt at a site with this Slurm, whose partition has this PreemptMode. `facts`: others of the site."""
        partition = PartitionFacts(preempt_mode=preempt_mode, grace_seconds=grace_seconds, max_minutes=None)
        assert self.attempt.spec.site
        site = self.attempt.spec.site.model_copy(
            update={"partitions": {"train": {"gpu": partition}}, "version": version, **facts}
        )
        spec = self.attempt.spec.model_copy(update={"site": site})
        return replace(self, attempt=replace(self.attempt, spec=spec))


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    partition = PartitionFacts(preempt_mode="REQUEUE", grace_seconds=10, max_minutes=None)
    site = SiteFacts(version="22.05.8", user_signal=True, kill_wait_seconds=5, job_requeue=True, cred_expire_seconds=5,
                     max_array_size=1001, accounting=False, partitions={"train": {"gpu": partition}})  # fmt: skip
    settings = [f"runs_root={tmp_path / 'runs'}", "slurm_conf=null", "regrow.evaluate.shards=1"]
    found = load_run_spec(TINY, "dev", settings, "one").model_copy(update={"site": site})
    write_run(found)
    return found


@pytest.fixture
def slurm(spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    programs, folder = tmp_path / "bin", tmp_path / "slurm"
    programs.mkdir()
    folder.mkdir()
    for program in ("scontrol", "sbatch", "scancel", "squeue"):
        path = programs / program
        path.write_text(FAKE.format(program=program, folder=folder, journal=spec.paths.journal))
        path.chmod(0o755)
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (folder / "sbatch").write_text("Submitted batch job 7\n")
    found = Slurm(folder)
    found.job_is()
    return found


@pytest.fixture
def here(spec: RunSpec, slurm: Slurm) -> Here:
    """The first attempt of job 2; it holds the lease."""
    journal = Journal.of_writer(str(spec.paths.journal / "train-2-0"), "stage")
    attempt = Attempt(spec, StageJob(str(spec.paths.run_dir), "train"), "2", 0, True, journal)
    attempt.lease = Lease(spec.paths.lease, attempt.name)
    attempt.lease.take()
    found = Here(attempt, slurm)
    stages: tuple[Stage, ...] = ("prepare", "train", "evaluate", "report")
    for number, stage in enumerate(stages, 1):
        found.says("submitted", "login-1-cli", stage=stage, job_id=str(number))
    return found
