"""What the runs under a runs_root are doing, by their journals."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from callbacks.journal import Entry, read_journal
from jobs.paths import RunPaths


@dataclass(frozen=True)
class RunStatus:
    """One run as its journal tells it."""

    name: str
    stage: str
    """The last stage that started; empty: none yet."""
    state: str
    """submitted, running, finished or failed."""
    step: int | None
    target_step: int | None
    message: str
    """Why it failed; empty otherwise."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_statuses(runs_root: Path) -> list[RunStatus]:
    """All runs, the newest first."""
    run_dirs = [path.parent for path in runs_root.glob("*/run.json")]
    newest_first = sorted(run_dirs, key=lambda run_dir: RunPaths(run_dir).run_json.stat().st_mtime, reverse=True)
    return [run_status(run_dir) for run_dir in newest_first]


def run_status(run_dir: Path) -> RunStatus:
    """One run's status. "running" means that no end was written: a killed machine leaves it so."""
    entries = read_journal(RunPaths(run_dir).journal)
    last = _last(entries, "stage_started", "stage_finished", "stage_failed")
    failed, ended = _last(entries, "stage_failed"), _last(entries, "run_ended")
    step, target = _last(entries, "metrics"), _last(entries, "training_began")
    return RunStatus(
        name=run_dir.name,
        stage=last["stage"] if last else "",
        state=_state(last, failed, ended),
        step=step["step"] if step else None,
        target_step=target["target_step"] if target else None,
        message=failed["message"] if failed else "",
    )


def _state(last: Entry | None, failed: Entry | None, ended: Entry | None) -> str:
    if ended:
        return "finished" if ended["status"] == "FINISHED" else "failed"
    if failed:
        return "failed"
    return "running" if last else "submitted"


def _last(entries: list[Entry], *events: str) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry["event"] in events), None)
