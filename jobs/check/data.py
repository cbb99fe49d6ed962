"""The records: their content, and the tokens of a seeded sample."""

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

AUDIT = tuple(f"data_prep/{name}.py" for name in ("audit", "curriculum", "records", "alpaca_record", "content"))
"""The modules of the audit; a new version of one makes the cached audits invalid."""
SAMPLE = 2000
SAMPLE_SEED = 0
LOPSIDED = 0.05
"""With a smaller share of positives, or of negatives, the model hardly learns them."""


def token_question(spec: RunSpec) -> dict[str, Any] | None:
    """The question to `jobs.check.shared.probe`; None: records or tokenizer are not on this machine."""
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
    """Identifies the content of a source without reading it."""
    return {**file_stamp(source.path), "take": source.take}


def _tokenizer_digest(model: str) -> str:
    """A digest of the tokenizer's files in a folder; for a model of the hub, of its name."""
    digest = hashlib.sha256(model.encode())
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (file := Path(model) / name).is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def data_findings(spec: RunSpec, places: Places, tokens: dict[str, Any] | None) -> Iterator[Finding]:
    """Findings about the records; `jobs.check.files` reports missing files."""
    train, validation = _sources(spec, "sources"), _sources(spec, "validation")
    present = [source for _, source in [*train, *validation] if source.path.is_file() and source.path.stat().st_size]
    found: list[Finding] = []
    if len(present) == len(train) + len(validation) and train:
        found = list(_audited(spec, places, train, validation))
    yield from found
    if tokens and not any(finding.level == "error" for finding in found):
        yield from _token_findings(places, tokens, spec)


def _sources(spec: RunSpec, role: str) -> list[tuple[tuple[str | int, ...], Source]]:
    """The files of records, each with the key that names it."""
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
        yield Finding.error(
            "data.form",
            places.config(*keys[0]) if keys else places.config("regrow", "prepare"),
            found=str(error),
            cost="the prepare stage would fail",
            fix="correct the file; `regrow data audit FILE` shows what is wrong",
        )
        return
    for (key, source), part in zip([*train, *validation], [*found.train, *found.validation], strict=True):
        yield from _file(places.config(*key), source, part)
    yield from _balance(places, found, train)
    if found.leaks.count:
        share = found.leaks.count / max(1, sum(part.records for part in found.validation))
        yield Finding.warning(
            "data.leak",
            places.config(*(validation or train)[0][0]),
            found=f"{found.leaks.count:,} validation records ({share:.1%}) are in the training records too; "
            f"the first are records {', '.join(map(str, found.leaks.first))}",
            cost="the scores would show how well the model remembers them",
            fix="remove them from the training or from the validation records",
        )


def _audit(train: list[Source], validation: list[Source], target: Target) -> SourcesAudit:
    """The audit of these files; from the cache if they have not changed."""
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
        yield Finding.error(
            "data.too-few",
            place,
            found=f"{part.records:,} records, but take: {source.take:,}",
            cost="the prepare stage would fail",
            fix=f"write take: {part.records}, or remove take",
        )
    if part.invalid:
        yield Finding.error(
            "data.invalid-output",
            place,
            found=f"{part.invalid:,} outputs are not what regrow.target describes: {'; '.join(part.invalid_examples)}",
            cost="the prepare stage would fail",
            fix="correct these outputs, or regrow.target",
        )
    if part.duplicates:
        yield Finding.note(
            "data.duplicates",
            place,
            found=f"{part.duplicates:,} of {part.records:,} records are exact duplicates of earlier ones",
            cost="they count more than the other records",
            fix="remove them, unless you want that",
        )
    if part.contradictions.count:
        yield Finding.warning(
            "data.contradictions",
            place,
            found=f"{part.contradictions.count:,} records have the input of an earlier record and another output; the first are "
            f"records {', '.join(map(str, part.contradictions.first))}",
            cost="the model learns neither output",
            fix="correct one of each pair",
        )


def _balance(
    places: Places, found: SourcesAudit, train: list[tuple[tuple[str | int, ...], Source]]
) -> Iterator[Finding]:
    positives = sum(part.positives * source.repeat for (_, source), part in zip(train, found.train, strict=True))
    records = sum(part.records * source.repeat for (_, source), part in zip(train, found.train, strict=True))
    share = positives / records if records else 0
    if not LOPSIDED <= share <= 1 - LOPSIDED:
        yield Finding.warning(
            "data.lopsided",
            places.config(*train[0][0]),
            found=f"{positives:,} of {records:,} records are positive",
            cost="the model may learn to give always the same answer",
            fix="change `repeat` or `take` of the sources, so that the model sees enough of both",
        )


def _token_findings(places: Places, tokens: dict[str, Any], spec: RunSpec) -> Iterator[Finding]:
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
    if tokens["too_long"]:
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


def _rounded(length: int) -> int:
    return -(-length // 128) * 128
