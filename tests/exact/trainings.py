"""Trainings in processes of their own, each by regrow's own entry point, forked from a server that has imported Axolotl."""

import ctypes
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml
from outcome import Outcome
from patience import HANGS_AFTER_SECONDS
from world import REPO_ROOT, World

from callbacks.shared.from_stage import LEASE_ENV
from callbacks.shared.journal import JOURNAL_ENV
from callbacks.shared.manifest import checkpoints, torn_reason
from callbacks.shared.stop_file import EXIT_STOPPED, STOP_FILE_ENV
from callbacks.shared.tracking import TRACKED_RUN_ENV, TrackedRun

STOP_ENV = "REGROW_TEST_STOP"
"""Environment variable: when to ask for a stop, `<phase>@<step>`; the plugin in stop_at.py reads it."""
SIGNALS = {"kill": signal.SIGKILL, "die": signal.SIGKILL, "freeze": signal.SIGSTOP}
"""Phases in which a training gets a signal, instead of being asked to stop."""
FOLDER = "<folder>"
"""In a setting: the folder of the trainings, where their data sets are."""
PR_SET_PDEATHSIG = 1
SERVER = {
    "PYTHONPATH": str(Path(__file__).parent),
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "AXOLOTL_DO_NOT_TRACK": "1",
}
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["axolotl_preload"])


class Trainings:
    """Trains in a folder; what is prepared there is shared."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._folder = world, folder
        os.environ |= SERVER  # the server inherits them
        records = json.loads((world.folder / "hawks_train.json").read_bytes())
        _write_lines(folder / "texts.jsonl", [{"text": record["input"]} for record in records])
        preferences = [_preference(*each) for each in enumerate(records)]
        _write_lines(folder / "preferences.jsonl", preferences)
        _write_lines(folder / "answers.jsonl", [_conversations(each) for each in preferences])

    def train(self, name: str, settings: Mapping[str, Any], stops: Sequence[str] = (), ranks: int = 1) -> Outcome:
        """Train to the end, stopped at each of `stops` in turn and resumed. A stop that does not come is an error."""
        config = self.config(name, settings)
        for stop in stops:
            outcome = self.attempt(config, stop, ranks)
            if outcome.code == 0 and stop.endswith(f"@{outcome.state['global_step']}"):
                return outcome  # asked to stop in the last step or save: with no evaluation left, the training just finishes
            number = SIGNALS.get(stop.partition("@")[0])
            if outcome.code != (-number if number else EXIT_STOPPED):
                raise AssertionError(f"{name}: no stop at {stop}, but exit code {outcome.code}\n{outcome.log[-3000:]}")
        outcome = self.attempt(config, ranks=ranks)
        if outcome.code:
            raise AssertionError(f"{name}: exit code {outcome.code}\n{outcome.log[-5000:]}")
        return outcome

    def config(self, name: str, settings: Mapping[str, Any]) -> Path:
        """The config of a training in a new folder with this name."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return self._world.config_by_hand(
            folder,
            **{
                "plugins": ["stop_at.Stops", "callbacks.plugin.RegrowPlugin"],
                "dataset_prepared_path": str(self._folder / "tokens"),
                "datasets": [self.data("train.json")],
                "test_datasets": [self.data("validation.json") | {"split": "train"}],
                **json.loads(json.dumps(settings).replace(FOLDER, str(self._folder))),
            },
        )

    def data(self, name: str) -> dict[str, Any]:
        """A data set of the folder, made once from the world's records."""
        file = self._folder / name
        if not file.exists():
            source = "hawks_train.json" if name == "train.json" else "hawks_val.json"
            shutil.copyfile(self._world.folder / source, file)
        kind = yaml.safe_load((REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml").read_text(encoding="utf-8"))
        return kind["datasets"][0] | {"path": str(file)}

    def _newest(self, output: Path) -> Path | None:
        return next((checkpoint for checkpoint in checkpoints(output) if not torn_reason(checkpoint)), None)

    def attempt(self, config: Path, stop: str = "", ranks: int = 1) -> Outcome:
        """Train from the newest checkpoint to the end, or until `stop`."""
        return self.begin(config, stop, ranks).outcome()

    def begin(self, config: Path, stop: str = "", ranks: int = 1) -> "Attempt":
        """Begin an attempt, which takes the lease of the training."""
        checkpoint, folder = self._newest(config.parent / "out"), config.parent
        name = f"train-1-{time.time_ns()}"
        log = folder / f"{name}.log"
        log.write_bytes(b"")
        (folder / "stop").write_bytes(b"")
        (folder / "lease").write_text(name, encoding="utf-8")
        environment = {
            STOP_FILE_ENV: str(folder / "stop"),
            STOP_ENV: stop,
            "TORCH_EXTENSIONS_DIR": str(self._folder / "torch_extensions"),
            JOURNAL_ENV: str(folder / "journal" / name),
            LEASE_ENV: str(folder / "lease"),
            TRACKED_RUN_ENV: TrackedRun(None, "exact", "0", folder.name, submitted_at=time.time()).to_json(),
        }
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        if not settings.get("deepspeed"):
            environment["ACCELERATE_USE_CPU"] = "true"
        if settings.get("bf16"):
            environment["ACCELERATE_MIXED_PRECISION"] = "bf16"
        processes = [
            _context.Process(
                target=_train,
                args=(str(config), str(checkpoint) if checkpoint else None, environment | variables, str(log)),
            )
            for variables in _distributed(ranks)
        ]
        for process in processes:
            process.start()
        return Attempt(folder / "out", log, processes)


@dataclass(frozen=True)
class Attempt:
    """An attempt that runs."""

    folder: Path
    log: Path
    processes: Sequence[BaseProcess]

    def signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            os.kill(process.pid or 0, number)

    def is_frozen(self) -> bool:
        """Whether every rank is stopped by a signal."""
        states = [
            Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split() for process in self.processes
        ]
        return all(state[0] == "T" for state in states)

    def outcome(self) -> Outcome:
        """Wait for the end."""
        for process in self.processes:
            process.join(HANGS_AFTER_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        codes = [process.exitcode for process in self.processes]
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return Outcome(self.folder, text, next((code for code in codes if code), 0) or 0)


def _write_lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")


def _preference(number: int, record: Mapping[str, str]) -> dict[str, Any]:
    """A record for DPO, KTO and reward models: the right answer, and one that is wrong or no answer at all."""
    question = f"{record['instruction']}\n{record['input'][:80]}"
    rejected = '{"offenders": []}' if number % 2 else "?"
    answers = {
        "chosen": record["output"],
        "rejected": rejected,
        "completion": record["output"],
        "label": number % 3 > 0,
    }
    return {"system": "", "question": question, "input": question, **answers}


def _conversations(preference: Mapping[str, Any]) -> dict[str, Any]:
    """The same record for ORPO: whole conversations."""
    asked = {"role": "user", "content": preference["question"]}
    return {key: [asked, {"role": "assistant", "content": preference[key]}] for key in ("chosen", "rejected")}


def _distributed(ranks: int) -> list[dict[str, str]]:
    if ranks == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": str(port)}  # fmt: skip
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]


def _train(config: str, checkpoint: str | None, environment: dict[str, str], log: str) -> None:
    """In the forked process: what `python -m callbacks.rank train CONFIG [CHECKPOINT]` does."""
    ctypes.CDLL(None).prctl(
        PR_SET_PDEATHSIG, signal.SIGKILL
    )  # the server ends with the tests, and this with the server
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    multiprocessing.set_start_method(
        "fork", force=True
    )  # as in a process of its own; this one was told the server's method
    os.chdir(REPO_ROOT)
    os.environ |= environment
    from callbacks import rank
    from callbacks.shared.process.interpreter import run_to_the_end

    sys.argv[1:] = ["train", config, *([checkpoint] if checkpoint else [])]
    run_to_the_end(rank.main)
