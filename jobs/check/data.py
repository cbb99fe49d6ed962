"""The records: their content, and the tokens of a seeded sample."""

from collections.abc import Iterator
from typing import Any

import msgspec

from callbacks.shared.args import ExtractionTask
from data_prep.audit import FileAudit, SourcesAudit, audit_sources
from data_prep.curriculum import Source
from data_prep.records import RecordError
from data_prep.shape import ANY_OBJECT, shape_of
from jobs.check.shared.cache import CachedAnswer, file_stamp
from jobs.check.shared.finding import Finding, Place
from jobs.check.shared.places import Places
from jobs.check.tokens import token_findings
from jobs.spec.paths import from_root
from jobs.spec.run_spec import RunSpec, mappings
from jobs.spec.sources import DATASETS, Role, prepared_sources

AUDIT = tuple(
    f"data_prep/{name}.py" for name in ("audit", "curriculum", "records", "alpaca_record", "shape", "content")
)
"""The modules of the audit; a new version of one makes the cached audits invalid."""
LOPSIDED = 0.05
"""With a smaller share of positives, or of negatives, the model hardly learns them."""


def _stamp(source: Source) -> dict[str, Any]:
    """Identifies the content of a source without reading it."""
    return {**file_stamp(source.path), "take": source.take, "shape": repr(source.shape)}


def data_findings(spec: RunSpec, places: Places, tokens: dict[str, Any] | None) -> Iterator[Finding]:
    """Findings about the records; `jobs.check.files` reports missing files."""
    train, validation = _sources(spec, "sources"), _sources(spec, "validation")
    present = [source for _, source in [*train, *validation] if source.path.is_file() and source.path.stat().st_size]
    found: list[Finding] = []
    task = spec.regrow.task
    is_read = all(source.shape != ANY_OBJECT for _, source in [*train, *validation])
    if len(present) == len(train) + len(validation) and train and is_read and isinstance(task, ExtractionTask):
        found = list(_audited(task, places, train, validation))
    yield from found
    if not any(finding.level == "error" for finding in found):
        yield from token_findings(spec, places, tokens)


def _sources(spec: RunSpec, role: Role) -> list[tuple[tuple[str | int, ...], Source]]:
    """The files of records, each with the key that names it."""
    if sources := prepared_sources(spec, role):
        return [(("regrow", "prepare", role, index, "path"), source) for index, source in enumerate(sources)]
    key = DATASETS[role]
    return [
        ((key, index, "path"), Source(from_root(dataset["path"]), shape=shape_of(dataset)))
        for index, dataset in enumerate(mappings(spec.axolotl.get(key)))
        if isinstance(dataset.get("path"), str) and from_root(dataset["path"]).is_file()
        if dataset.get("ds_type") in (None, "json")
    ]


def _audited(
    task: ExtractionTask,
    places: Places,
    train: list[tuple[tuple[str | int, ...], Source]],
    validation: list[tuple[tuple[str | int, ...], Source]],
) -> Iterator[Finding]:
    try:
        found = _audit([source for _, source in train], [source for _, source in validation], task)
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


def _audit(train: list[Source], validation: list[Source], target: ExtractionTask) -> SourcesAudit:
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
            found=f"{part.invalid:,} outputs are not what regrow.task describes: {'; '.join(part.invalid_examples)}",
            cost="the prepare stage would fail",
            fix="correct these outputs, or regrow.task",
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
