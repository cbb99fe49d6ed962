"""What `regrow demo` needs before it submits: synthetic records, and a toy model with a tokenizer trained on them."""

import subprocess
import sys
from pathlib import Path

from data_prep.synthetic import write_synthetic
from jobs.spec.errors import ConfigError
from jobs.spec.paths import REPO_ROOT, child_environment

CONFIG = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
POSITIVES, NEGATIVES, VALIDATION = 2000, 6000, 200


def prepare_demo(folder: Path, seed: int) -> tuple[Path, list[str]]:
    """Make the records and the model, and return the config with the `--set` options that point to them.

    Files of an earlier demo with the same seed are used again.
    """
    place = folder.resolve() / f"seed{seed}"
    train, negatives, validation = (place / f"{stem}.json" for stem in ("hawks_train", "person_dummy", "hawks_val"))
    if not validation.exists():  # written last
        write_synthetic(place, positives=POSITIVES, negatives=NEGATIVES, validation=VALIDATION, seed=seed)
    if not (place / "model").exists():
        _build_model(place / "model", seed, [train, negatives])  # the tokenizer sees no validation record
    return CONFIG, [
        f"base_model={place / 'model'}",
        f"regrow.prepare.sources.0.path={train}",
        f"regrow.prepare.sources.1.path={negatives}",
        f"regrow.prepare.validation.0.path={validation}",
        f"seed={seed}",
    ]


def _build_model(folder: Path, seed: int, records: list[Path]) -> None:
    """Build the model in a child process, because the command line itself does without torch.

    Raises:
        ConfigError: the child process failed; usually, the `train` extra is not installed.
    """
    command = [sys.executable, "-m", "data_prep.tiny_model", str(folder), str(seed), *map(str, records)]
    environment = child_environment({"HF_HUB_OFFLINE": "1"})
    built = subprocess.run(command, capture_output=True, text=True, cwd=REPO_ROOT, env=environment, check=False)
    if built.returncode:
        last_line = (built.stderr.strip().splitlines() or [f"exit code {built.returncode}"])[-1]
        raise ConfigError(f"the toy model could not be built: {last_line}\nhint: make setup")
