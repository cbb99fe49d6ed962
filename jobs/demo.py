"""What `regrow demo` needs before it can submit: synthetic records, and a toy model with a tokenizer trained on them."""

import json
from collections.abc import Iterator
from pathlib import Path

from data_prep.synthetic import write_synthetic
from jobs.paths import REPO_ROOT

CONFIG = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
POSITIVES, NEGATIVES, VALIDATION = 2000, 6000, 200


def prepare_demo(folder: Path, seed: int) -> tuple[Path, list[str]]:
    """Make the records and the model, and return the config with the `--set` that point it to them.

    What an earlier demo of the same seed left is used again.
    """
    place = folder.resolve() / f"seed{seed}"
    if not (place / "hawks_val.json").exists():
        write_synthetic(place, positives=POSITIVES, negatives=NEGATIVES, validation=VALIDATION, seed=seed)
    if not (place / "model").exists():
        from data_prep.tiny_model import build_tiny_model

        build_tiny_model(place / "model", texts=_texts(place), seed=seed)
    return CONFIG, [
        f"base_model={place / 'model'}",
        f"regrow.prepare.sources.0.path={place / 'hawks_train.json'}",
        f"regrow.prepare.sources.1.path={place / 'person_dummy.json'}",
        f"regrow.prepare.validation.0.path={place / 'hawks_val.json'}",
        f"seed={seed}",
    ]


def _texts(folder: Path) -> Iterator[str]:
    """Training texts for the tokenizer; none of validation's."""
    for name in ("hawks_train.json", "person_dummy.json"):
        for record in json.loads((folder / name).read_text(encoding="utf-8")):
            yield f"{record['instruction']}\n{record['input']}\n{record['output']}"
