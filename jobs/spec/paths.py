"""The only module that knows the paths of a run."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class RunPaths:
    """One run's folder, mode 0700.

    <runs_root>/<name>/
        run.json            the resolved spec; never changed
        axolotl.yml         the config that Axolotl gets
        journal/            <stage>-<job id>-<attempt>-<writer>.jsonl
        code/               the user's own modules that the run needs: a scorer
        slurm/              pickles, sbatch files, <stage>-<job id>-<attempt>.log
        status.json         the final status of a run that has ended, so that `regrow status` does not read its journal again
        train.lease         names the attempt that trains; removed when the attempt ends
        torch_extensions/   what DeepSpeed compiles at the first attempt, if it has to
        axolotl-<training>.yml, trainings/<training>/
                            the same of each training before the last one (`regrow.train_stages`)
        checkpoints/        Axolotl's output_dir: checkpoint-<step>/, the final adapter, gen_metrics_step<N>.json;
                            ledger-<rank>.jsonl: the records of each step, as a hash; with `regrow.audit`, their ids,
                            and in ledger-records.txt the ids of all training records
        eval/<model>/       shard-<k>-of-<n>.jsonl, predictions.jsonl, scores.json; records.jsonl, where only Axolotl knows the
                            prompts
        eval/               validation.jsonl: the records that Axolotl has split off for validation
        report/             index.html, metrics.md, summary.md
    """

    run_dir: Path
    training: str | None = None
    """The name of one of the run's earlier trainings; None: the last one, or the only one."""

    @property
    def run_json(self) -> Path:
        return self.run_dir / "run.json"

    @property
    def axolotl_yml(self) -> Path:
        return self.run_dir / (f"axolotl-{self.training}.yml" if self.training else "axolotl.yml")

    @property
    def journal(self) -> Path:
        return self.run_dir / "journal"

    @property
    def slurm(self) -> Path:
        return self.run_dir / "slurm"

    @property
    def lease(self) -> Path:
        return self.run_dir / "train.lease"

    @property
    def checkpoints(self) -> Path:
        return self.run_dir / "trainings" / self.training if self.training else self.run_dir / "checkpoints"

    @property
    def code(self) -> Path:
        """The user's own modules that the run needs."""
        return self.run_dir / "code"

    @property
    def status(self) -> Path:
        return self.run_dir / "status.json"

    @property
    def evaluations(self) -> Path:
        return self.run_dir / "eval"

    @property
    def torch_extensions(self) -> Path:
        """What torch and DeepSpeed compile for the training."""
        return self.run_dir / "torch_extensions"

    @property
    def validation_samples(self) -> Path:
        """The validation records that are in no single file (`val_set_size`, several `test_datasets`), with their prompts; the
        training writes them."""
        return self.evaluations / "validation.jsonl"

    def evaluation(self, model: str) -> "EvaluationPaths":
        return EvaluationPaths(self.evaluations / model)

    @property
    def report(self) -> Path:
        return self.run_dir / "report" / "metrics.md"

    @property
    def report_page(self) -> Path:
        return self.run_dir / "report" / "index.html"

    @property
    def report_summary(self) -> Path:
        return self.run_dir / "report" / "summary.md"

    def exported(self, kind: str) -> Path:
        """The final model to give away, as `regrow export` writes it: `model` or `merged`."""
        return self.run_dir / "export" / kind

    def log(self, attempt_name: str) -> Path:
        """The output of the processes of one attempt of a stage."""
        return self.slurm / f"{attempt_name}.log"

    def create(self) -> None:
        """Create the run folder and its subfolders; FileExistsError if the run folder already exists."""
        self.run_dir.parent.mkdir(parents=True, exist_ok=True)
        self.run_dir.mkdir(mode=0o700)
        for folder in (self.journal, self.slurm, self.checkpoints):
            folder.mkdir(mode=0o700)


@dataclass(frozen=True)
class EvaluationPaths:
    """One model's evaluation: <run>/eval/<model>/."""

    folder: Path

    def shard(self, number: int, count: int) -> Path:
        """The answers generated for one shard, as JSON lines."""
        return self.folder / f"shard-{number}-of-{count}.jsonl"

    @property
    def samples(self) -> Path:
        """The records with their prompts, where only Axolotl can make these."""
        return self.folder / "records.jsonl"

    @property
    def merged(self) -> Path:
        """Base model and adapter as one, where the engine cannot join them; complete if it exists."""
        return self.folder / "merged"

    @property
    def merge_lease(self) -> Path:
        return self.folder / "merged.lease"

    @property
    def predictions(self) -> Path:
        """All shards, merged in the order of the records."""
        return self.folder / "predictions.jsonl"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.json"


@dataclass(frozen=True)
class PreparedPaths:
    """Merged records and tokens, used by all runs with the same content: <runs_root>/prepared/<content hash>/."""

    folder: Path

    @property
    def train(self) -> Path:
        return self.folder / "train.json"

    @property
    def validation(self) -> Path:
        return self.folder / "validation.json"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens"

    @property
    def lease(self) -> Path:
        """Names the attempt that makes the folder."""
        return self.folder.with_suffix(".lease")

    @property
    def audit(self) -> Path:
        """Written last: it exists only when all other files do."""
        return self.folder / "prepared.json"


def from_root(path: str) -> Path:
    """A path of a config as an absolute path; a relative path counts from the repo root."""
    return REPO_ROOT / Path(path).expanduser()


def located(path: str) -> Path:
    """A path that a user has typed, as an absolute path: in the current folder if it exists there, else from the repo root."""
    typed = Path(path).expanduser()
    return typed.absolute() if typed.exists() else from_root(path)


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `extra`, and with the repo root on PYTHONPATH."""
    path = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **extra}
