"""What `regrow demo` needs before it submits: synthetic records, and a model.

The toy model is made here, from random weights, with a tokenizer trained on the records. SmolLM2 is a real one, downloaded once.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.english import ENGLISH
from data_prep.japanese import JAPANESE
from data_prep.language import Language
from data_prep.synthetic import Form, write_synthetic
from jobs.spec.errors import ConfigError
from jobs.spec.paths import REPO_ROOT, child_environment

TOY, SMOLLM2 = "toy", "smollm2"


@dataclass(frozen=True)
class Kind:
    """One kind of demo: its config, and the records for it."""

    config: str
    language: Language
    positives: int
    negatives: int
    validation: int


KINDS = {
    (TOY, "alpaca"): Kind("tiny_cpu.yml", JAPANESE, positives=2000, negatives=6000, validation=200),
    (SMOLLM2, "alpaca"): Kind("smollm2_cpu.yml", ENGLISH, positives=300, negatives=300, validation=40),
    (SMOLLM2, "messages"): Kind("smollm2_chat.yml", ENGLISH, positives=400, negatives=200, validation=40),
}


def prepare_demo(
    folder: Path,
    seed: int,
    model: str = TOY,
    form: Form = "alpaca",
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Path, list[str]]:
    """Make the records and the model, and return the config with the `--set` options that point to them.

    Files of an earlier demo with the same seed are used again.

    Args:
        tell: hears of what takes long.

    Raises:
        ConfigError: there is no such demo, or the model cannot be made.
    """
    if (kind := KINDS.get((model, form))) is None:
        raise ConfigError(f"the {model} model has no chat demo\nhint: --model {SMOLLM2}")
    root = folder.resolve() if model == TOY else folder.resolve() / model
    place = root / f"seed{seed}" if form == "alpaca" else root / f"seed{seed}-{form}"
    train, negatives, validation = (place / f"{stem}.json" for stem in ("hawks_train", "person_dummy", "hawks_val"))
    if not validation.exists():  # written last
        write_synthetic(
            place,
            positives=kind.positives,
            negatives=kind.negatives,
            validation=kind.validation,
            seed=seed,
            language=kind.language,
            form=form,
        )
    if model == TOY:
        made = place / "model"
        if not made.exists():
            _build(made, "data_prep.tiny_model", seed, train, negatives)  # the tokenizer sees no validation record
    else:
        made = root / "model"
        if not made.exists():
            tell(f"SmolLM2-135M-Instruct is downloaded once (93 MB) and converted to {made}: this takes about a minute")
            _build(made, "data_prep.smollm2")
    keys = ("regrow.prepare.sources.0", "regrow.prepare.sources.1", "regrow.prepare.validation.0")
    if form == "messages":
        keys = ("datasets.0", "datasets.1", "test_datasets.0")
    paths = zip(keys, (train, negatives, validation), strict=True)
    return REPO_ROOT / "axolotl_configs" / kind.config, [
        f"base_model={made}",
        *(f"{key}.path={path}" for key, path in paths),
        f"seed={seed}",
    ]


def _build(folder: Path, module: str, *arguments: Path | int) -> None:
    """Build a model in a child process, because the command line itself does without torch.

    Raises:
        ConfigError: the child process failed. Usually, the `train` extra is not installed, or there is no network.
    """
    command = [sys.executable, "-m", module, str(folder), *map(str, arguments)]
    environment = child_environment({"HF_HUB_OFFLINE": "1"})
    built = subprocess.run(command, capture_output=True, text=True, cwd=REPO_ROOT, env=environment, check=False)
    if built.returncode:
        last_line = (built.stderr.strip().splitlines() or [f"exit code {built.returncode}"])[-1]
        raise ConfigError(f"{folder} could not be built: {last_line}\nhint: make setup")
