"""MLflowLogger: every log of the trainer into the journal and, under the journal's time stamps, into MLflow."""

import importlib.metadata
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from callbacks.journal import Journal
from callbacks.tracking import MlflowFeed, flat_params

if TYPE_CHECKING:
    from mlflow import MlflowClient

PACKAGES = ("axolotl", "torch", "transformers", "peft", "accelerate", "deepspeed", "flash-attn")

TOTALS = frozenset({"train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss"})
"""What the Trainer adds up from its process's start, and divides by all steps: wrong after a resume."""


class MLflowLogger(TrainerCallback):
    """Rank 0 only. Params are those of the resolved config, not the two hundred defaults of the trainer."""

    def __init__(self, journal: Journal, feed: MlflowFeed, config: Path) -> None:
        self.journal, self.feed, self.config = journal, feed, config
        self._monitor: Any = None
        self._is_resumed = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._is_resumed = state.global_step > 0
        self.feed.params(flat_params(yaml.safe_load(self.config.read_text(encoding="utf-8"))))
        self.feed.tags(environment_tags() | {"regrow.world_size": str(args.world_size)})
        self.feed.artifact(self.config, "config")
        self.feed.call(self._start_system_metrics)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        left_out = TOTALS if self._is_resumed else frozenset()
        values = {
            metric_name(name): float(value)
            for name, value in (logs or {}).items()
            if isinstance(value, int | float) and name not in left_out
        }
        self.feed.metrics(self.journal.metrics(state.global_step, values))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.feed.call(self._finish_system_metrics)  # on the feed's thread: a server that is away keeps nobody waiting
        self.feed.close()

    def _finish_system_metrics(self, client: "MlflowClient", run_id: str) -> None:
        if self._monitor is not None:
            self._monitor.finish()

    def _start_system_metrics(self, client: "MlflowClient", run_id: str) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=client.tracking_uri)
        self._monitor.start()


def metric_name(name: str) -> str:
    """The trainer's name as MLflow takes it; generation scores carry the same name everywhere, without HF's `eval_`."""
    return re.sub(r"[^\w\-./ ]+", "_", name.replace(" (", "_").replace("eval_gen_", "gen_")).rstrip("_")


def environment_tags() -> dict[str, str]:
    """Package versions, host and git commit of this process."""
    tags = {"regrow.host": platform.node(), "version.python": platform.python_version()}
    for package in PACKAGES:
        try:
            tags[f"version.{package}"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # flash-attn is absent without a GPU
    return tags | git_tags(Path(__file__).parent)


def git_tags(folder: Path) -> dict[str, str]:
    """Commit and whether tracked files differ from it; empty outside of a git checkout."""

    def git(*arguments: str) -> str | None:
        result = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        return result.stdout.strip() if result.returncode == 0 else None

    commit = git("rev-parse", "HEAD") if shutil.which("git") else None
    if commit is None:
        return {}
    return {"git.commit": commit, "git.dirty": str(bool(git("status", "--porcelain", "--untracked-files=no")))}
