"""`regrow verify`."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from jobs.cli.options import AsJson, Cluster, Run, Settings
from jobs.cli.screen.byte_progress import byte_progress
from jobs.cli.screen.say import say

if TYPE_CHECKING:
    from callbacks.shared import events
    from jobs.history.records import TrainedRecords
    from jobs.history.verification import Verification


def verify(
    run: Run,
    again: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="STEPS", help="Also train the first STEPS steps again, on this machine, and compare."
        ),
    ] = None,
    cluster: Cluster = "local",
    settings: Settings = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Check a run's checkpoints byte by byte, and whether every step took the right records. Exit with 1 if one is wrong."""
    from callbacks.shared.journal import read_journal
    from jobs.history import verification
    from jobs.spec.find import find_run_dir
    from jobs.spec.paths import RunPaths
    from jobs.spec.profile import load_profile

    paths = RunPaths(find_run_dir(run, Path(load_profile(cluster, settings).runs_root)))  # also of a copy
    with byte_progress("verify", verification.bytes_to_read(paths.checkpoints)) as advance:
        found = verification.verify(paths.checkpoints, read_journal(paths.journal), advance)
    second = _trained_again(run, cluster, settings, again, as_json) if again else None
    if as_json:
        told = {"again": msgspec.to_builtins(second)} if second else {}
        say(json.dumps(asdict(found) | told, indent=1))
    else:
        say("\n".join([*_lines(found), *(_again_lines(second) if second else [])]))
    raise typer.Exit(1 if found.problems or (second and second.differences) else 0)


def _trained_again(run: str, cluster: str, settings: list[str], steps: int, is_silent: bool) -> "events.TrainedAgain":
    from jobs.cli.screen.journal_view import following
    from jobs.spec.find import named_run
    from jobs.submit.again import train_again

    spec = named_run(run, cluster, settings)
    with nullcontext(lambda entries: None) if is_silent else following(spec) as follow:
        return train_again(spec, steps, follow)


def _again_lines(found: "events.TrainedAgain") -> Iterator[str]:
    weights = " and the final weights" if found.has_weights else ""
    yield f"again: {found.losses:,} losses up to step {found.steps:,}{weights} were compared"
    yield from (f"wrong: {each}" for each in found.differences)
    if not found.differences:
        yield "again: bit-identical"


def _lines(found: "Verification") -> Iterator[str]:
    for each in found.checkpoints:
        said = (
            f"{each.files} files, {each.bytes:,} bytes" if each.files else "an older version saved it, without digests"
        )
        said = f"not whole, a training does not resume from it: {each.problems[0]}" if each.is_torn else said
        yield f"{each.name}: {said}"
    yield from _ledger_lines(found.records)
    yield from (f"wrong: {problem}" for problem in found.problems)
    if not found.problems:
        yield "nothing is wrong"


def _ledger_lines(records: "TrainedRecords") -> Iterator[str]:
    if not records.steps:
        yield "ledger: none; a training writes it"
        return
    ranks = "1 rank" if records.ranks == 1 else f"{records.ranks} ranks"
    again = f"; {records.redone} were done again, with the same records" if records.redone else ""
    yield f"ledger: {records.steps:,} steps, {ranks}{again}"
    count = records.records
    if count is None:
        yield "records: not noted, so they are not counted; `regrow.audit: true` notes them"
        return
    for epoch in records.epochs:
        most = "none" if not epoch.repeated else f"{len(epoch.repeated):,}"
        yield (
            f"epoch {epoch.epoch + 1}: {count - epoch.missing:,} of {count:,} records were trained, "
            f"{most} of them more than once"
        )
