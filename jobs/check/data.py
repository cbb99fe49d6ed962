"""The records: what is in them, and what a seeded sample becomes as tokens."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from callbacks.shared.args import SourceSection, Target
from callbacks.shared.token_report import token_fault
from data_prep.audit import FileAudit, SourcesAudit, audit_sources
from data_prep.curriculum import Source
from data_prep.records import RecordError
from jobs.check.shared.cache import CachedAnswer, file_stamp
from jobs.check.shared.finding import Finding, Place
from jobs.check.shared.model_files import is_here
from jobs.check.shared.places import Places
from jobs.spec.paths import from_root
from jobs.spec.resolve import TOKEN_KEYS
from jobs.spec.run_spec import RunSpec, mappings

AUDIT = ("data_prep/audit.py", "data_prep/curriculum.py", "data_prep/records.py")
"""The modules that audit."""
SAMPLE = 2000
SAMPLE_SEED = 0
LOPSIDED = 0.05
"""A share of positives, or of negatives, that is hardly learned."""


def token_question(spec: RunSpec) -> dict[str, Any] | None:
    """What `jobs.check.shared.probe` is asked; None: records or tokenizer are not on this machine."""
    model, datasets = spec.axolotl.get("base_model"), mappings(spec.axolotl.get("datasets"))
    files = [source for _, source in _sources(spec, "sources") if source.path.is_file()]
    if not (files and datasets and isinstance(model, str) and is_here(model)):
        return None
    config = {
        key: spec.axolotl[key] for key in (*TOKEN_KEYS, "tokenizer_type", "tokenizer_use_fast") if key in spec.axolotl
    }
    config.pop("test_datasets", None)
    config["datasets"] = [{key: value for key, value in datasets[0].items() if key != "path"}]
    return {
        "axolotl": config,
        "files": [_stamp(source) for source in files],
        "tokenizer": _tokenizer_digest(model),
        "sample": SAMPLE,
        "seed": SAMPLE_SEED,
    }


def _stamp(source: Source) -> dict[str, Any]:
    """What is read of a source, without reading it."""
    return {**file_stamp(source.path), "take": source.take}


def _tokenizer_digest(model: str) -> str:
    """Over the tokenizer's files in a folder; a hub model's name says enough."""
    digest = hashlib.sha256(model.encode())
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (file := Path(model) / name).is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def data_findings(spec: RunSpec, places: Places, tokens: dict[str, Any] | None) -> Iterator[Finding]:
    """Findings about the records; files that are not there are left to `jobs.check.files`."""
    train, validation = _sources(spec, "sources"), _sources(spec, "validation")
    present = [source for _, source in [*train, *validation] if source.path.is_file() and source.path.stat().st_size]
    found: list[Finding] = []
    if len(present) == len(train) + len(validation) and train:
        found = list(_audited(spec, places, train, validation))
    yield from found
    if tokens and not any(finding.level == "error" for finding in found):
        yield from _token_findings(places, tokens, spec)


def _sources(spec: RunSpec, role: str) -> list[tuple[tuple[str | int, ...], Source]]:
    """The files of records, with the keys that name them."""
    sections: Sequence[SourceSection] = getattr(spec.regrow.prepare, role)
    if sections:
        return [
            (("regrow", "prepare", role, index, "path"), Source(from_root(section.path), section.repeat, section.take))
            for index, section in enumerate(sections)
        ]
    key = "datasets" if role == "sources" else "test_datasets"
    return [
        ((key, index, "path"), Source(from_root(dataset["path"])))
        for index, dataset in enumerate(mappings(spec.axolotl.get(key)))
        if isinstance(dataset.get("path"), str) and from_root(dataset["path"]).is_file()
    ]


def _audited(
    spec: RunSpec,
    places: Places,
    train: list[tuple[tuple[str | int, ...], Source]],
    validation: list[tuple[tuple[str | int, ...], Source]],
) -> Iterator[Finding]:
    try:
        found = _audit([source for _, source in train], [source for _, source in validation], spec.regrow.target)
    except RecordError as error:
        keys = [key for key, source in [*train, *validation] if str(source.path) in str(error)]
        yield Finding(
            "error",
            "data.form",
            places.config(*keys[0]) if keys else places.config("regrow", "prepare"),
            str(error),
            "the prepare stage would end there",
            "correct the file",
        )
        return
    for (key, source), part in zip([*train, *validation], [*found.train, *found.validation], strict=True):
        yield from _file(places.config(*key), source, part)
    yield from _balance(places, found, train)
    if found.leaks.count:
        share = found.leaks.count / max(1, sum(part.records for part in found.validation))
        yield Finding(
            "warning",
            "data.leak",
            places.config(*(validation or train)[0][0]),
            f"{found.leaks.count:,} validation records ({share:.1%}) stand in the training records too, "
            f"first: record {', '.join(map(str, found.leaks.first))}",
            "the scores would say how well they are remembered",
            "remove them from one of the two",
        )


def _audit(train: list[Source], validation: list[Source], target: Target) -> SourcesAudit:
    """The audit of these files, from the cache if they are as they were."""
    fields = {"list_field": target.list_field, "name_field": target.name_field, "fields": list(target.fields)}
    cached = CachedAnswer("data", [list(map(_stamp, train)), list(map(_stamp, validation)), fields], AUDIT)
    if (answer := cached.get()) is not None:
        return msgspec.json.decode(answer, type=SourcesAudit)
    found = audit_sources(
        train, validation, list_field=target.list_field, name_field=target.name_field, fields=target.fields
    )
    cached.put(msgspec.json.encode(found))
    return found


def _file(place: Place, source: Source, part: FileAudit) -> Iterator[Finding]:
    if source.take and part.records < source.take:
        yield Finding(
            "error",
            "data.too-few",
            place,
            f"{part.records:,} records, and take: {source.take:,}",
            "the prepare stage would end there",
            f"write take: {part.records}, or leave it out",
        )
    if part.invalid:
        yield Finding(
            "error",
            "data.invalid-output",
            place,
            f"{part.invalid:,} outputs are not what regrow.target describes: {'; '.join(part.invalid_examples)}",
            "the prepare stage would end there",
            "correct them, or regrow.target",
        )
    if part.duplicates:
        yield Finding(
            "note",
            "data.duplicates",
            place,
            f"{part.duplicates:,} of {part.records:,} records stood before, word for word",
            "they weigh more than the others",
            "remove them, if that is not meant",
        )
    if part.contradictions.count:
        yield Finding(
            "warning",
            "data.contradictions",
            place,
            f"{part.contradictions.count:,} records ask what stood before, and answer it otherwise, first: record "
            f"{', '.join(map(str, part.contradictions.first))}",
            "the model learns neither",
            "correct one of each pair",
        )


def _balance(
    places: Places, found: SourcesAudit, train: list[tuple[tuple[str | int, ...], Source]]
) -> Iterator[Finding]:
    positives = sum(part.positives * source.repeat for (_, source), part in zip(train, found.train, strict=True))
    records = sum(part.records * source.repeat for (_, source), part in zip(train, found.train, strict=True))
    share = positives / records if records else 0
    if not LOPSIDED <= share <= 1 - LOPSIDED:
        yield Finding(
            "warning",
            "data.lopsided",
            places.config(*train[0][0]),
            f"{positives:,} positive records of {records:,}",
            "the model may learn to answer always the same",
            "repeat or take other amounts, so that both sides count",
        )


def _token_findings(places: Places, tokens: dict[str, Any], spec: RunSpec) -> Iterator[Finding]:
    dataset = places.config("datasets", 0, "type")
    if "error" in tokens:
        yield Finding(
            "error",
            "data.tokens",
            dataset,
            f"the records cannot be tokenised: {tokens['error']}",
            "the prepare stage would end there",
            "correct datasets[0].type, the tokenizer, or the records",
        )
        return
    looked_at = f"of {tokens['records']:,} records looked at"
    if tokens["too_long"]:
        yield Finding(
            "warning",
            "data.too-long",
            places.config("sequence_len"),
            f"{tokens['too_long']:,} {looked_at} are longer than {spec.axolotl.get('sequence_len')} tokens (the longest: "
            f"{tokens['longest']:,}); {tokens['cut_answers']:,} of their answers would be cut",
            "Axolotl leaves such records out",
            f"write sequence_len: {_rounded(tokens['longest'])}, or shorten them",
        )
    if fault := token_fault(tokens):
        yield Finding(
            "error",
            "data.labels",
            dataset,
            fault,
            "the prepare stage would end there, once it has seen all records",
            "correct format and no_input_format, or the tokenizer and its end token",
        )


def _rounded(length: int) -> int:
    return -(-length // 128) * 128
