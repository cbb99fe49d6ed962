"""The records as the trainer will see them: the tokens of a seeded sample."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from callbacks.shared.tokens.token_report import token_fault, unseen_reason
from jobs.check.shared.cache import file_stamp
from jobs.check.shared.finding import Finding
from jobs.check.shared.model_files import is_dataset_here, is_here
from jobs.check.shared.places import Places
from jobs.spec.paths import from_root
from jobs.spec.resolve import TOKEN_KEYS
from jobs.spec.run_spec import RunSpec, mappings

ASKED_KEYS = tuple(key for key in (*TOKEN_KEYS, "hf_use_auth_token") if key not in ("datasets", "test_datasets"))
"""Keys of the Axolotl config on which the tokens of a record depend."""
SAMPLE = 2000
SAMPLE_SEED = 0


def token_question(spec: RunSpec) -> dict[str, Any] | None:
    """The question to `jobs.check.shared.probe`; None: records or tokenizer are not on this machine."""
    model, datasets, takes = spec.axolotl.get("base_model"), *_datasets(spec)
    if unseen_reason(spec.axolotl) or not (datasets and isinstance(model, str) and is_here(model)):
        return None
    return {
        "axolotl": {key: spec.axolotl[key] for key in ASKED_KEYS if key in spec.axolotl},
        "datasets": datasets,
        "takes": takes,
        "files": [_dataset_stamps(dataset) for dataset in datasets],
        "tokenizer": _tokenizer_digest(model),
        "sample": SAMPLE,
        "seed": SAMPLE_SEED,
    }


def _datasets(spec: RunSpec) -> tuple[list[dict[str, Any]], list[int | None]]:
    """The data sets of the training that are on this machine; of each, the number of records to use (None: all)."""
    datasets = mappings(spec.axolotl.get("datasets"))
    if sections := spec.regrow.prepare.sources:
        found = [section for section in sections if from_root(section.path).is_file()] if datasets else []
        files = [datasets[0] | {"path": str(from_root(section.path)), "ds_type": "json"} for section in found]
        return files, [section.take for section in found]
    here = [dataset for dataset in datasets if isinstance(path := dataset.get("path"), str) and is_dataset_here(path)]
    return here, [None] * len(here)


def _dataset_stamps(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """Identifies the content of a data set without reading it."""
    path = Path(dataset["path"])
    return [file_stamp(file) for file in sorted(path.rglob("*") if path.is_dir() else [path]) if file.is_file()]


def _tokenizer_digest(model: str) -> str:
    """A digest of the tokenizer's files in a folder; for a model of the hub, of its name."""
    digest = hashlib.sha256(model.encode())
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (file := Path(model) / name).is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def token_findings(spec: RunSpec, places: Places, tokens: dict[str, Any] | None) -> Iterator[Finding]:
    """Findings about the answer to `token_question`; None: there is no answer."""
    if reason := unseen_reason(spec.axolotl):
        yield Finding.note(
            "data.unseen",
            places.config("datasets"),
            found=f"the records are not looked at: {reason}",
            cost="a fault in a record would show in the prepare stage, or in the training",
            fix="try a few steps first: `--set max_steps=5`",
        )
    if tokens is None:
        return
    dataset = places.config("datasets", 0, "type")
    if "error" in tokens:
        yield Finding.error(
            "data.tokens",
            dataset,
            found=f"the records cannot be tokenised: {tokens['error']}",
            cost="the prepare stage would fail",
            fix="correct datasets[0].type, the tokenizer, or the records",
        )
        return
    looked_at = f"of {tokens['records']:,} sampled records"
    if tokens["records"] and tokens["too_long"] == tokens["records"]:
        yield Finding.error(
            "data.too-long",
            places.config("sequence_len"),
            found=f"all {looked_at.removeprefix('of ')} are longer than {spec.axolotl.get('sequence_len')} tokens "
            f"(the longest has {tokens['longest']:,})",
            cost="Axolotl drops such records, and none would be left",
            fix=f"write sequence_len: {_rounded(tokens['longest'])}",
        )
    elif tokens["too_long"]:
        yield Finding.warning(
            "data.too-long",
            places.config("sequence_len"),
            found=f"{tokens['too_long']:,} {looked_at} are longer than {spec.axolotl.get('sequence_len')} tokens "
            f"(the longest has {tokens['longest']:,}); {tokens['cut_answers']:,} of their answers would be cut off",
            cost="Axolotl drops such records",
            fix=f"write sequence_len: {_rounded(tokens['longest'])}, or shorten the records",
        )
    if fault := token_fault(tokens):
        yield Finding.error(
            "data.labels",
            dataset,
            found=fault,
            cost="the prepare stage would fail after it has read all records",
            fix="correct format and no_input_format, or the tokenizer and its end-of-text token",
        )
    elif tokens["unlearned"]:
        yield Finding.warning(
            "data.unlearned",
            dataset,
            found=f"{tokens['unlearned']:,} {looked_at} teach nothing",
            cost="Axolotl drops such records, or trains on them in vain",
            fix="give each record an answer; a pair of answers must differ",
        )


def _rounded(length: int) -> int:
    return -(-length // 128) * 128
