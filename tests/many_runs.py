"""Writes many runs as day-long trainings leave them, for tests and benchmarks of commands that read all runs."""

from pathlib import Path

from entries import entry
from world import REPO_ROOT

from callbacks.shared.journal import Entry, Journal, _line
from jobs.spec.resolve import load_run_spec
from jobs.spec.run_spec import RunSpec, write_run

TINY = REPO_ROOT / "axolotl_configs" / "tiny_cpu.yml"
LAST_STEP = "5,600/5,600"
"""The last step as `regrow status` shows it for each of these runs."""


def started(time: float) -> Entry:
    return entry(time, "stage_started", stage="train", part=0, job_id="2", attempt=0, host="n1", log="/run/train.log")


def day_long_journal(spec: RunSpec, is_ended: bool) -> None:
    """Write the journal of a day-long training: 560 logs, 40 saves, three attempts, and system metrics every 30 s."""
    train = str(spec.paths.journal / "train-2-0")
    stage, rank, mlflow = (Journal.of_writer(train, writer) for writer in ("stage", "rank0", "mlflow"))
    lines: dict[Path, list[Entry]] = {stage.path: [], rank.path: [], mlflow.path: []}
    lines[stage.path] += [started(10), entry(40, "left", stage="train", part=0, cause="preempted", step=0), started(60)]
    lines[rank.path].append(entry(70, "training_began", step=0, target_step=5600))
    for step in range(10, 5610, 10):
        values = {"loss": 1 / step, "grad_norm": 0.5, "learning_rate": 1e-4, "epoch": step / 1870, "memory/peak": 61.5}
        lines[rank.path].append(entry(70.0 + step, "metrics", step=step, values=values))
        if step % 140 == 0:
            lines[rank.path].append(entry(71.0 + step, "saved", step=step, seconds=9.5))
    system = {f"system/gpu_{gpu}_{what}": 0.5 for gpu in range(4) for what in ("power", "memory", "utilization")}
    lines[mlflow.path] += [entry(30.0 * number, "system", second=30 * number, values=system) for number in range(2880)]
    if is_ended:
        lines[stage.path].append(entry(9999, "run_ended", status="FINISHED"))
    for path, entries in lines.items():
        path.write_text("".join(map(_line, entries)))


def write_runs(runs_root: Path, count: int, going_on: int = 5) -> Path:
    """Write runs on this machine; `going_on` of them have not ended."""
    spec = load_run_spec(TINY, "local", [f"runs_root={runs_root}"], "first")
    for number in range(count):
        run = spec.model_copy(update={"name": f"run-{number:03}"})
        write_run(run)
        day_long_journal(run, is_ended=number >= going_on)
    return runs_root
