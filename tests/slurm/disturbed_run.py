"""A run on the dev cluster, as a scenario submits and disturbs it, and as its journal and Slurm show it."""

import hashlib
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from dev_cluster.cluster import DevCluster
from dev_cluster.processes import kill, tasks, wait_until
from entries import named
from patience import HANGS_AFTER_SECONDS
from shared_files import SharedFiles
from world import World

from callbacks.shared.journal import metric_rows, read_journal
from jobs.history.submissions import token
from jobs.spec.paths import RunPaths
from jobs.spec.run_spec import RunSpec

STEPS, SAVE_STEPS = 24, 8
SETTINGS = {
    "max_steps": STEPS,
    "save_steps": SAVE_STEPS,
    "eval_steps": 12,
    "logging_steps": 1,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "save_total_limit": 2,
    "regrow.generation_eval.max_new_tokens": 8,
    "regrow.evaluate.max_new_tokens": 2,
    "regrow.audit": "true",
    "train.cpus_per_task": 1,
    "plugins": "[gates.Gates, callbacks.plugin.RegrowPlugin]",
}


@dataclass
class Run:
    """A submitted run, as its journal and Slurm show it."""

    name: str
    world: World
    cluster: DevCluster
    gates: Path
    shared: SharedFiles | None = None
    """The file system with the runs, if it is another than the world's."""

    @property
    def paths(self) -> RunPaths:
        """Where the files are, whatever the cluster sees of them."""
        return RunPaths((self.shared.behind if self.shared else self.world.runs_root) / self.name)

    @property
    def typed(self) -> str:
        """The run as its user names it."""
        return str((self.shared.runs_root if self.shared else self.world.runs_root) / self.name)

    def entries(self, *names: str, stage: str = "") -> list[Any]:
        """The journal's entries of these events; with `stage`, only those of its attempts."""
        found = read_journal(self.paths.journal)
        return [entry for entry in named(found, *names) if entry.writer.startswith(stage)]

    def job_id(self, stage: str) -> str:
        """The stage's newest job."""
        ids = [entry.job_id for entry in self.entries("submitted") if entry.stage == stage]
        return str(ids[-1])

    def state(self, job_id: str) -> str:
        return self.cluster.run(
            "squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T"
        ).stdout.strip()

    def wait_for_gate(self, gate: str) -> None:
        is_there = (self.gates / f"{gate}.reached").exists
        self.wait(lambda: is_there() or bool(self.entries("stage_failed")), f"gate {gate}")
        assert is_there(), self.entries("stage_failed")

    def open_gate(self, gate: str) -> None:
        (self.gates / f"{gate}.open").touch()

    def wait_for_new(self, event: str, known: int, stage: str = "train") -> None:
        """Wait until there are more than `known` entries of the event."""
        self.wait(lambda: len(self.entries(event, stage=stage)) > known, f"another {event}")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, HANGS_AFTER_SECONDS, f"{self.name}: {what}")

    def add_gate(self, gate: str) -> None:
        (self.gates / gate).touch()

    def preempt(self, gate: str | None = None) -> None:
        """Take the nodes away. Once the stop was requested, let the training pass its gate. Wait until the attempt has left."""
        known, left = (len(self.entries(event, stage="train")) for event in ("stop_requested", "left"))
        self.cluster.preempt()
        self.wait_for_new("stop_requested", known)
        if gate:
            self.open_gate(gate)
        self.wait_for_new("left", left)

    def wait_for_state(self, state: str, stage: str = "train") -> None:
        self.wait(lambda: self.state(self.job_id(stage)) == state, f"{stage} to be {state}")

    def wait_for_attempts(self, count: int, stage: str = "train") -> None:
        self.wait(lambda: len(self.entries("stage_started", stage=stage)) >= count, f"attempt {count} of {stage}")

    def processes(self, words: str) -> list[int]:
        """Ids of the jobs' processes whose command line has these words."""
        pids = tasks(self.cluster.folder)
        return [pid for pid in pids if words in Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")]

    def kill(self, words: str) -> None:
        pids = self.processes(words)
        assert pids, f"no process has {words} on its command line"
        kill(pids, signal.SIGKILL)

    def cancel(self) -> None:
        """End all jobs of the run by force."""
        for entry in self.entries("submitted"):
            self.cluster.run("scancel", "--signal=KILL", "--full", entry.job_id)
            self.cluster.run("scancel", entry.job_id)

    def resume(self) -> None:
        """Type `regrow resume` once no job of the run is in the queue."""
        self.wait_for_end()
        done = self.world.regrow("resume", self.typed, "--cluster", "dev")
        assert done.returncode == 0, done.stdout + done.stderr

    def wait_for_end(self) -> None:
        active = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED"}
        ids = lambda: [entry.job_id for entry in self.entries("submitted")]  # noqa: E731
        self.wait(lambda: not any(self.state(job_id) in active for job_id in ids()), "the end of all jobs")

    def jobs_in_slurm(self) -> set[str]:
        """All jobs, ended ones included, that are the run's by their comment."""
        rows = self.cluster.run("squeue", "--noheader", "--states=all", "--format=%F|%k").stdout.splitlines()
        own = token(RunSpec.load(self.paths.run_dir))
        return {job_id for job_id, _, comment in (row.partition("|") for row in rows) if own in comment}

    def slurm_version(self) -> str:
        return self.cluster.run("sinfo", "--version").stdout.split()[-1]

    # ---- what must hold, from the journal and the weights

    def steps_lost(self) -> list[int]:
        """For each attempt that trained, except the last: its completed optimizer steps that the next attempt did again."""
        began = self.entries("training_began", stage="train")
        done = [
            max([e.step for e in self.entries("metrics") if e.writer == b.writer and "loss" in e.values]
                + [b.step])
            for b in began
        ]  # fmt: skip
        return [last - following.step for last, following in zip(done, began[1:], strict=False)]

    def seconds_to_next_stage(self) -> float | None:
        """From the end of the training to the start of the evaluation, or of the report; None: one of them is missing."""
        ended = [entry.time for entry in self.entries("stage_finished", stage="train")]
        started = [
            entry.time for stage in ("evaluate", "report") for entry in self.entries("stage_started", stage=stage)
        ]
        return started[0] - ended[-1] if ended and started else None

    def losses(self) -> dict[int, float]:
        rows = metric_rows(read_journal(self.paths.journal))
        return {step: values["loss"] for step, values in rows.items() if "loss" in values}

    def weights(self) -> dict[str, str]:
        """SHA-256 of each file of the final adapter or model; empty: there is none."""
        files = sorted(self.paths.checkpoints.glob("*.safetensors"))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def requeued_by(self) -> list[str]:
        """Who brought the train stage back, for each further attempt: the stage, Slurm, a successor, or `regrow resume`."""
        attempts = self.entries("stage_started", stage="train")
        by = []
        for before, after in pairwise(attempts):
            stem = f"train-{before.job_id}-{before.attempt}-"
            own = [e for e in self.entries("requeued") if e.writer.startswith(stem)]
            (submitted,) = [e for e in self.entries("submitted") if e.job_id == after.job_id]
            other = "successor" if submitted.successor_of else "resume"
            by.append(other if before.job_id != after.job_id else "stage" if own else "slurm")
        return by


def submit(run: Run, gates: tuple[str, ...], settings: tuple[str, ...], setup: str = ":") -> None:
    """Submit tiny_cpu.yml to the run's cluster, with gates. `setup`: one more shell line before each job's command."""
    world, folder = run.world, run.gates
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(run.paths.run_dir, ignore_errors=True)
    folder.mkdir(parents=True)
    for gate in gates:
        run.add_gate(gate)
    compiled = world.folder / "torch_extensions"  # once for all rows: DeepSpeed compiles for a minute
    exports = (
        f"export REGROW_TEST_GATES={folder} TORCH_EXTENSIONS_DIR={compiled} "
        f"PYTHONPATH={Path(__file__).parent}:$PYTHONPATH"
    )
    done = world.submit(
        run.name,
        *(f"{key}={value}" for key, value in SETTINGS.items()),
        f"slurm_conf={run.cluster.conf}",
        f"slurm_bin={run.cluster.bin}",
        f'setup=["{exports}", "{setup.format(folder=world.folder)}"]',
        *([f"runs_root={run.shared.runs_root}"] if run.shared else []),
        *(setting.replace("{folder}", str(world.folder)) for setting in settings),
        cluster="dev",
        environment={"REGROW_TEST_GATES": str(folder), "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
