"""The prepare stage, on a CPU node: merge the sources, audit the records, tokenise. Runs with the same content share it."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from callbacks.shared import events
from callbacks.shared.args import ExtractionTask
from callbacks.shared.manifest import write_atomically
from data_prep.audit import audit
from data_prep.curriculum import Merged, Source, input_bytes, merge
from data_prep.shape import ANY_OBJECT
from jobs.check.shared_folder import tried
from jobs.node.attempt import Attempt, StageFailed
from jobs.node.commands import preprocess_command
from jobs.node.handover import release_lease
from jobs.node.lease import Lease
from jobs.spec.errors import EXIT_CONFIG, EXIT_TEMPORARY
from jobs.spec.paths import PreparedPaths
from jobs.spec.run_spec import RunSpec, cpus_of, python_of
from jobs.spec.sources import prepared_sources

Watch = Callable[[str, int], Callable[[int], None]]
"""Makes a progress callback from the name of a piece of work and its total."""


def prepare(attempt: Attempt) -> None:
    """Make the prepared folder of the run, unless another run with the same content has already made it."""
    runs_root = Path(attempt.spec.profile.runs_root)
    if refused := tried(runs_root).refused:
        raise StageFailed(f"{runs_root}: {refused}")
    for training in attempt.spec.trainings:
        _prepare(attempt, training)


def _prepare(attempt: Attempt, spec: RunSpec) -> None:
    """The records and tokens of one of the run's trainings."""
    files = spec.prepared_paths
    if files is None:
        if not spec.regrow.trainer:
            tokenise(attempt, spec)
        return
    files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the records may be private
    while not files.audit.exists():
        _make_or_wait(attempt, spec, files)
    facts = json.loads(files.audit.read_bytes())
    attempt.journal.write(events.Prepared(folder=str(files.folder), **_headline(facts)))
    paths: dict[events.Role, Path] = {"train": files.train, "validation": files.validation}
    for role, path in paths.items():
        if merged := facts[role]:
            digest, records = merged["sha256"], merged["records"]
            attempt.journal.write(events.Dataset(role=role, path=str(path), sha256=digest, records=records))


def tokenise(attempt: Attempt, spec: RunSpec) -> None:
    attempt.run([preprocess_command(spec, python_of(spec, sys.executable), attempt.stem, cpus_of(spec, "prepare"))])


def _make_or_wait(attempt: Attempt, spec: RunSpec, files: PreparedPaths) -> None:
    """Make the folder, or wait until the run that makes it has finished or given up."""
    lease = attempt.lease = Lease(files.lease, f"{attempt.spec.name} {attempt.name}")
    lease.take(meanwhile=attempt.check_stop)
    try:
        with lease.beating() as is_kept:
            if not files.audit.exists():
                _make(attempt, spec, files, is_kept)
    except StageFailed as error:
        if error.cause != "superseded":
            raise
        print("another run makes the prepared folder: it had no sign of life of this one", flush=True)
    finally:
        release_lease(attempt)
        attempt.lease = None


def _make(attempt: Attempt, spec: RunSpec, files: PreparedPaths, is_kept: Callable[[], bool]) -> None:
    """Merge, audit and tokenise. The facts are written last: if their file exists, the folder is complete.

    Raises:
        StageFailed: `superseded`, if the lease is lost meanwhile.
    """

    def check() -> None:
        attempt.check_stop()
        if not is_kept():
            raise StageFailed("another run has taken over the prepared folder", EXIT_TEMPORARY, "superseded")

    watch = partial(progress, attempt, check)
    merged = {
        "train": _merge(prepared_sources(spec, "sources"), files.train, watch),
        "validation": _merge(prepared_sources(spec, "validation"), files.validation, watch),
    }
    facts: dict[str, Any] = {role: result.to_dict() if result else None for role, result in merged.items()}
    task, is_read = spec.regrow.task, prepared_sources(spec, "sources")[0].shape != ANY_OBJECT
    facts["audit"] = _audit(spec, task, files, watch) if isinstance(task, ExtractionTask) and is_read else None
    if not spec.regrow.trainer:
        tokenise(attempt, spec)
    check()
    write_atomically(files.audit, json.dumps(facts, ensure_ascii=False, indent=1))


def _merge(sources: Sequence[Source], output: Path, watch: Watch) -> Merged | None:
    if not sources:
        return None
    return merge(sources, output, progress=watch(f"merge {output.name}", input_bytes(sources)))


def _audit(spec: RunSpec, target: ExtractionTask, files: PreparedPaths, watch: Watch) -> dict[str, Any]:
    """The audit's findings.

    Raises:
        StageFailed: an output is not an answer as `regrow.task` describes it; training on it would teach nonsense.
    """
    train, *_ = prepared_sources(spec, "sources")
    validation = next(iter(prepared_sources(spec, "validation")), None)
    found = audit(
        Source(files.train, shape=train.shape),
        Source(files.validation, shape=validation.shape) if validation else None,
        list_field=target.list_field,
        name_field=target.name_field,
        fields=target.fields,
        progress=watch("audit", sum(f.stat().st_size for f in (files.train, files.validation) if f.exists())),
    )
    invalid = [part for part in (found.train, found.validation) if part and part.invalid]
    if invalid:
        examples = "\n".join(line for part in invalid for line in part.invalid_examples)
        raise StageFailed(
            f"{sum(part.invalid for part in invalid)} outputs are not what regrow.task describes:\n{examples}",
            EXIT_CONFIG,
        )
    return found.to_dict()


def _headline(facts: dict[str, Any]) -> dict[str, Any]:
    """The few figures that the journal shows."""
    if not facts["audit"]:
        counts = {role: facts[role]["records"] if facts[role] else 0 for role in ("train", "validation")}
        return {"records": counts["train"], "validation_records": counts["validation"]}
    train, validation, leaks = facts["audit"]["train"], facts["audit"]["validation"], facts["audit"]["leaks"]
    return {
        "records": train["records"],
        "positives": train["positives"],
        "negatives": train["negatives"],
        "validation_records": validation["records"] if validation else 0,
        "leaked_validation_records": leaks["count"],
    }


def progress(attempt: Attempt, check: Callable[[], None], what: str, total: int) -> Callable[[int], None]:
    """A progress callback that writes into the journal after each further twentieth of `total`. `check` may end the work."""
    done = written = 0

    def advance(amount: int) -> None:
        nonlocal done, written
        check()
        done += amount
        if done - written >= max(1, total // 20) or done >= total > written:
            written = done
            attempt.journal.write(events.Progress(what=what, done=done, total=total))

    return advance
