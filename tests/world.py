"""A world: a folder with synthetic records and a toy model, in which tests type `regrow` as a user does."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPO_ROOT = Path(__file__).resolve().parent.parent
REGROW = Path(sys.executable).parent / "regrow"


@dataclass(frozen=True)
class World:
    """Records and a model, and the `--set` values that make tiny_cpu.yml use them."""

    folder: Path
    environment: dict[str, str]

    @property
    def runs_root(self) -> Path:
        return self.folder / "runs"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def settings(self) -> list[str]:
        values = {
            "base_model": self.folder / "model",
            "regrow.prepare.sources.0.path": self.folder / "hawks_train.json",
            "regrow.prepare.sources.1.path": self.folder / "person_dummy.json",
            "regrow.prepare.sources.1.take": 120,
            "regrow.prepare.validation.0.path": self.folder / "hawks_val.json",
            "regrow.generation_eval.max_new_tokens": 16,
            "regrow.evaluate.max_new_tokens": 16,
            "micro_batch_size": 2,
            "max_steps": 6,
            "eval_steps": 3,
            "save_steps": 3,
            "logging_steps": 1,
            "runs_root": self.runs_root,
            "tracking_uri": self.tracking_uri,
        }
        return [f"{key}={value}" for key, value in values.items()]

    def config_by_hand(self, folder: Path, **changed: Any) -> Path:
        """tiny_cpu.yml as a user edits it to run it without regrow; written to `folder`. A key changed to None is left out."""
        from data_prep.curriculum import Source, merge

        config = yaml.safe_load((REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml").read_text(encoding="utf-8"))
        merge([Source(self.folder / "hawks_train.json", repeat=3)], folder / "train.json")
        config |= {"base_model": str(self.folder / "model"), "output_dir": str(folder / "out")}
        config |= {"max_steps": 4, "eval_steps": 2, "save_steps": 2, "micro_batch_size": 2, "logging_steps": 1}
        config["dataset_prepared_path"] = str(folder / "tokens")
        config["datasets"][0]["path"] = str(folder / "train.json")
        config["test_datasets"][0]["path"] = str(self.folder / "hawks_val.json")
        config["regrow"]["generation_eval"] |= {"max_new_tokens": 8, "max_records": 6}
        config = {key: value for key, value in (config | changed).items() if value is not None}
        path = folder / "config.yml"
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        return path

    def regrow(
        self, *arguments: str, environment: dict[str, str] | None = None, where: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `regrow ARGUMENTS` as a user types it. `where`: the folder where it is typed; default: one outside the checkout."""
        return subprocess.run(
            [str(REGROW), *arguments],
            cwd=where or self.folder,
            env=self.environment | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )

    def submit(
        self,
        name: str,
        *settings: str,
        cluster: str = "local",
        check: bool = False,
        flags: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        where: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Submit tiny_cpu.yml with this world's records and model, by default on this machine. Few tests need the check."""
        values = [flag for setting in [*self.settings, *settings] for flag in ("--set", setting)]
        config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
        flags = ["--cluster", cluster, "--name", name, *flags, *([] if check else ["--no-check"])]
        return self.regrow("submit", config, *flags, *values, environment=environment, where=where)


def commit() -> str:
    """The checkout's commit, followed by `+` if files outside `docs/`, where results are written, differ from it."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=REPO_ROOT, capture_output=True, text=True, check=False)

    described = git("rev-parse", "--short=7", "HEAD")
    described.check_returncode()
    return described.stdout.strip() + "+" * bool(git("diff", "--quiet", "HEAD", "--", ".", ":!docs").returncode)


def build_world(folder: Path, environment: dict[str, str]) -> World:
    """Write 40 positive, 130 negative and 12 validation records, and the toy model, unless the folder has them already."""
    from data_prep.synthetic import write_synthetic
    from data_prep.tiny_model import build_tiny_model

    if not (folder / "model" / "config.json").exists():
        paths = write_synthetic(folder, positives=40, negatives=130, validation=12, seed=3)
        build_tiny_model(folder / "model", texts=[path.read_text(encoding="utf-8") for path in paths.values()], seed=3)
    return World(folder, environment)
