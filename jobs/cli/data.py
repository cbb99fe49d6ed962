"""`regrow data`: work with records, without a cluster."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from jobs.cli.screen.byte_progress import byte_progress
from jobs.cli.screen.say import say

if TYPE_CHECKING:
    from data_prep.audit import Audit, FileAudit

app = typer.Typer(help="Make, merge and audit records.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="Folder for the three files.")],
    positives: Annotated[int, typer.Option(min=1, help="Number of training records with an offender.")] = 2000,
    negatives: Annotated[int, typer.Option(min=1, help="Number of training records without an offender.")] = 6000,
    validation: Annotated[
        int, typer.Option(min=2, help="Number of validation records; half of them with an offender.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Random seed for the records.")] = 1,
    language: Annotated[Literal["ja", "en"], typer.Option(help="Language of the articles.")] = "ja",
    form: Annotated[
        Literal["alpaca", "messages"], typer.Option(help="Form of the records: instruction, input and output, or chat.")
    ] = "alpaca",
) -> None:
    """Write synthetic news records in the customer's format."""
    from data_prep.english import ENGLISH
    from data_prep.japanese import JAPANESE
    from data_prep.synthetic import write_synthetic

    for path in write_synthetic(
        folder,
        positives=positives,
        negatives=negatives,
        validation=validation,
        seed=seed,
        language={"ja": JAPANESE, "en": ENGLISH}[language],
        form=form,
    ).values():
        say(path)


@app.command()
def merge(
    sources: Annotated[
        list[str], typer.Argument(metavar="FILE[:repeat=N][:take=N]...", help="Files of records, in this order.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the merged JSON array.")],
    form: Annotated[
        Literal["alpaca", "messages", "any"],
        typer.Option(help="Form of the records. `alpaca`: each output is JSON. `any`: objects, whatever is in them."),
    ] = "alpaca",
) -> None:
    """Check files of records, and concatenate them in the given order."""
    from data_prep.curriculum import input_bytes, meta_path, parse_sources
    from data_prep.curriculum import merge as merge_sources
    from data_prep.shape import SHAPES

    parsed = [replace(source, shape=SHAPES[form], is_json=form == "alpaca") for source in parse_sources(sources)]
    with byte_progress("merge", input_bytes(parsed)) as advance:
        merged = merge_sources(parsed, output, progress=advance)
    for source in merged.sources:
        say(f"{source.path}: {source.records:,} records x{source.repeat}")
    say(
        f"{output}: {merged.records:,} records, {merged.bytes:,} bytes, sha256 {merged.sha256} (also in {meta_path(output)})"
    )


@app.command()
def audit(
    train: Annotated[Path, typer.Argument(help="Training records.")],
    validation: Annotated[Path | None, typer.Argument(help="Validation records.")] = None,
    form: Annotated[Literal["alpaca", "messages"], typer.Option(help="Form of the records.")] = "alpaca",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count positives, negatives, invalid outputs, duplicates and leaks. Exit with 1 if there are invalid outputs."""
    from callbacks.shared.args import ExtractionTask
    from data_prep.audit import audit as audit_files
    from data_prep.curriculum import Source
    from data_prep.shape import SHAPES

    target = ExtractionTask()
    total = sum(path.stat().st_size for path in (train, validation) if path and path.is_file())
    with byte_progress("audit", total) as advance:
        found = audit_files(
            Source(train, shape=SHAPES[form]),
            Source(validation, shape=SHAPES[form]) if validation else None,
            list_field=target.list_field,
            name_field=target.name_field,
            fields=target.fields,
            progress=advance,
        )
    say(json.dumps(found.to_dict(), ensure_ascii=False, indent=1) if as_json else audit_text(found))
    raise typer.Exit(1 if found.train.invalid or (found.validation and found.validation.invalid) else 0)


def audit_text(audit: "Audit") -> str:
    """All counts, a line each; examples of invalid outputs below."""
    lines = [*_file_lines(audit.train)]
    if audit.validation:
        lines += _file_lines(audit.validation)
        shown = f" (records {', '.join(map(str, audit.leaks.first))}, ...)" if audit.leaks.count else ""
        lines.append(f"validation records that are also in train: {audit.leaks.count:,}{shown}")
    return "\n".join(lines)


def _file_lines(part: "FileAudit") -> Iterator[str]:
    yield f"{part.path}: {part.records:,} records"
    yield f"  positive {part.positives:,}, negative {part.negatives:,}, invalid {part.invalid:,}"
    yield f"  distinct {part.distinct:,}, duplicates {part.duplicates:,}, contradictions {part.contradictions.count:,}"
    fill = ", ".join(f"{field} {share:.0%}" for field, share in part.field_fill.items())
    yield f"  {part.entries:,} entries; filled: {fill}"
    lengths = part.input_characters
    yield f"  articles of {lengths.min:,} to {lengths.max:,} characters, median {lengths.median:,.0f}"
    yield from (f"  {example}" for example in part.invalid_examples)
