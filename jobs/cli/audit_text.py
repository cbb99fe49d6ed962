"""An audit as text for a terminal."""

from collections.abc import Iterator

from data_prep.audit import Audit, FileAudit


def audit_text(audit: Audit) -> str:
    """All counts, one per line. Below them: examples of invalid outputs."""
    lines = [*_file_lines(audit.train)]
    if audit.validation:
        lines += _file_lines(audit.validation)
        shown = f" (records {', '.join(map(str, audit.leaks.first))}, ...)" if audit.leaks.count else ""
        lines.append(f"validation records that are also in train: {audit.leaks.count:,}{shown}")
    return "\n".join(lines)


def _file_lines(part: FileAudit) -> Iterator[str]:
    yield f"{part.path}: {part.records:,} records"
    yield f"  positive {part.positives:,}, negative {part.negatives:,}, invalid {part.invalid:,}"
    yield f"  distinct {part.distinct:,}, duplicates {part.duplicates:,}, contradictions {part.contradictions.count:,}"
    fill = ", ".join(f"{field} {share:.0%}" for field, share in part.field_fill.items())
    yield f"  {part.entries:,} entries; filled: {fill}"
    lengths = part.input_characters
    yield f"  articles of {lengths.min:,} to {lengths.max:,} characters, median {lengths.median:,.0f}"
    yield from (f"  {example}" for example in part.invalid_examples)
