"""World: synthetic records and a toy model in a folder, and `regrow` as a user types it there."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parent.parent
REGROW = Path(sys.executable).parent / "regrow"


@dataclass(frozen=True)
class World:
    """Records and a model, and the `--set` that point tiny_cpu.yml to them."""

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

    def regrow(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`regrow ARGUMENTS` as a user types it, from another folder than the checkout."""
        return subprocess.run(
            [str(REGROW), *arguments],
            cwd=self.folder,
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
    ) -> subprocess.CompletedProcess[str]:
        """Submit tiny_cpu.yml to a cluster, by default this machine, pointed to this world. Most have no use for the check."""
        values = [flag for setting in [*self.settings, *settings] for flag in ("--set", setting)]
        config = str(REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml")
        flags = ["--cluster", cluster, "--name", name, *flags, *([] if check else ["--no-check"])]
        return self.regrow("submit", config, *flags, *values, environment=environment)
