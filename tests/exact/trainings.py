"""Trainings in processes of their own, each by regrow's own entry point, forked from a server that has imported Axolotl."""

import ctypes
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from world import REPO_ROOT, World

from callbacks.shared.journal import JOURNAL_ENV
from callbacks.shared.manifest import checkpoints, torn_reason
from callbacks.shared.stop_file import EXIT_STOPPED, STOP_FILE_ENV
from callbacks.shared.tracking import TRACKED_RUN_ENV, TrackedRun

STOP_ENV = "REGROW_TEST_STOP"
"""Environment variable: when to ask for a stop, `<phase>@<step>`; the plugin in stop_at.py reads it."""
FINAL_STATE = "final_state.json"
"""The Trainer's state at the end of the training."""
FOLDER = "<folder>"
"""In a setting: the folder of the trainings, where their data sets are."""
PR_SET_PDEATHSIG = 1
SECONDS = 300
MEASURED = ("runtime", "per_second", "seconds", "memory", "tokens", "ppl", "train/", "epoch", "flos")
"""Logged values with these words are measured, not computed; or they are counters of this process alone."""
SERVER = {
    "PYTHONPATH": str(Path(__file__).parent),
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "AXOLOTL_DO_NOT_TRACK": "1",
}
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["axolotl_preload"])


@dataclass(frozen=True)
class Outcome:
    """What a training has left."""

    folder: Path
    log: str
    code: int

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the final weights; empty: there are none."""
        digest, files = hashlib.sha256(), sorted(self.folder.glob("*model*.safetensors"))
        for file in files:
            digest.update(file.read_bytes())
        return digest.hexdigest() if files else ""

    @cached_property
    def state(self) -> dict[str, Any]:
        """The Trainer's state at the end."""
        found: dict[str, Any] = json.loads((self.folder / FINAL_STATE).read_bytes())
        return found

    @cached_property
    def ledger(self) -> dict[str, dict[int, str]]:
        """Each rank's ledger: the value of each step. A step that was done again must have the same value again."""
        found: dict[str, dict[int, str]] = {}
        for file in sorted(self.folder.glob("ledger-*.jsonl")):
            lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            found[file.name] = {line["step"]: line["value"] for line in lines}
            assert all(found[file.name][line["step"]] == line["value"] for line in lines), file
        return found

    def moment(self, stop: str) -> str:
        """A stop with its step in place of a word: `border` (with `+1`), `first` and `last` evaluation, of this training."""
        phase, _, word = stop.partition("@")
        borders, evaluated = (
            [int(step) for step in re.findall(rf"^{what} (\d+)", self.log, re.MULTILINE)]
            for what in ("BORDER", "EVALUATED")
        )
        places = {"first": min(filter(None, evaluated), default=0), "last": evaluated[-1]}
        places |= {"border": borders[0], "border+1": borders[0] + 1}
        return f"{phase}@{places.get(word, word)}"

    @property
    def logged(self) -> list[tuple[int, str, float]]:
        """Every computed value that was logged, with its step."""
        return sorted(
            (row["step"], name, value)
            for row in self.state["log_history"]
            for name, value in row.items()
            if name != "step" and not any(word in name for word in MEASURED)
        )


class Trainings:
    """Trains in a folder; what is prepared there is shared."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._folder = world, folder
        os.environ |= SERVER  # the server inherits them
        records = json.loads((world.folder / "hawks_train.json").read_bytes())
        _write_lines(folder / "texts.jsonl", [{"text": record["input"]} for record in records])
        _write_lines(folder / "preferences.jsonl", [_preference(*each) for each in enumerate(records)])

    def train(self, name: str, settings: Mapping[str, Any], stops: Sequence[str] = (), ranks: int = 1) -> Outcome:
        """Train to the end, stopped at each of `stops` in turn and resumed. A stop that does not come is an error."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        config = self._world.config_by_hand(
            folder,
            **{
                "plugins": ["stop_at.Stops", "callbacks.plugin.RegrowPlugin"],
                "dataset_prepared_path": str(self._folder / "tokens"),
                "datasets": [self._data("train.json")],
                "test_datasets": [self._data("validation.json") | {"split": "train"}],
                **json.loads(json.dumps(settings).replace(FOLDER, str(self._folder))),
            },
        )
        for stop in stops:
            checkpoint = self._newest(folder / "out")
            outcome = self._attempt(config, ranks, checkpoint, stop)
            if outcome.code != EXIT_STOPPED:
                raise AssertionError(f"{name}: no stop at {stop}, but exit code {outcome.code}\n{outcome.log[-3000:]}")
        outcome = self._attempt(config, ranks, self._newest(folder / "out"), "")
        if outcome.code:
            raise AssertionError(f"{name}: exit code {outcome.code}\n{outcome.log[-5000:]}")
        return outcome

    def _data(self, name: str) -> dict[str, Any]:
        """A data set of the folder, made once from the world's records."""
        file = self._folder / name
        if not file.exists():
            source = "hawks_train.json" if name == "train.json" else "hawks_val.json"
            shutil.copyfile(self._world.folder / source, file)
        kind = yaml.safe_load((REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml").read_text(encoding="utf-8"))
        return kind["datasets"][0] | {"path": str(file)}

    def _newest(self, output: Path) -> Path | None:
        return next((checkpoint for checkpoint in checkpoints(output) if not torn_reason(checkpoint)), None)

    def _attempt(self, config: Path, ranks: int, checkpoint: Path | None, stop: str) -> Outcome:
        stop_file, log = config.with_name("stop"), config.with_name("log")
        stop_file.write_bytes(b"")
        environment = {
            STOP_FILE_ENV: str(stop_file),
            STOP_ENV: stop,
            "TORCH_EXTENSIONS_DIR": str(self._folder / "torch_extensions"),
            JOURNAL_ENV: str(config.parent / "journal" / f"train-1-{time.time_ns()}"),
            TRACKED_RUN_ENV: TrackedRun(None, "exact", "0", config.parent.name, submitted_at=time.time()).to_json(),
        }
        log.write_bytes(b"")
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
        for process in processes:
            process.join(SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        codes = [process.exitcode for process in processes]
        text = log.read_text(encoding="utf-8", errors="replace")
        return Outcome(config.parent / "out", text, next((code for code in codes if code), 0) or 0)


def _write_lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")


def _preference(number: int, record: Mapping[str, str]) -> dict[str, Any]:
    """A record for DPO and for KTO: the right answer, and one that is wrong or no answer at all."""
    question = f"{record['instruction']}\n{record['input'][:80]}"
    rejected = '{"offenders": []}' if number % 2 else "?"
    answers = {
        "chosen": record["output"],
        "rejected": rejected,
        "completion": record["output"],
        "label": number % 3 > 0,
    }
    return {"system": "", "question": question, **answers}


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
    from callbacks.shared.interpreter import run_to_the_end

    sys.argv[1:] = ["train", config, *([checkpoint] if checkpoint else [])]
    run_to_the_end(rank.main)
