"""What must hold for a disturbed run, compared with the undisturbed run."""

from disturbed_run import Run
from scenario import Scenario

from callbacks.shared.journal import read_journal
from callbacks.shared.tracking import RUN_UUID_TAG
from jobs.history.time_spent import attempt_times, steps_lost
from jobs.history.verification import verify
from jobs.spec.run_spec import RunSpec
from jobs.spec.site_facts import SiteFacts


def is_as_expected(by: list[str], expected: tuple[str, ...] | None, after_grace: str) -> bool:
    if expected is None:
        return True
    wanted = [after_grace if want == "grace" else want for want in expected]
    return len(by) == len(wanted) and all(want in ("any", one) for one, want in zip(by, wanted, strict=True))


def after_grace(site: SiteFacts) -> str:
    """Who brings a training back that has left in its grace time, at this site."""
    if not site.leaving_is_preemption:
        return "stage"
    return "slurm" if site.requeues("train") else "successor"


def problems(run: Run, scenario: Scenario, reference: Run) -> list[str]:
    """Everything that does not hold; empty: the row holds."""
    found: list[str] = []

    def expect(holds: bool, text: str) -> None:
        if not holds:
            found.append(text)

    lost, by, spec = run.steps_lost(), run.requeued_by(), RunSpec.load(run.paths.run_dir)
    site, later = spec.site, [stage for stage in spec.stages if stage not in ("prepare", "train")]
    assert site
    counted = steps_lost(attempt_times(read_journal(run.paths.journal)))
    expect(counted == sum(lost), f"the accounting says {counted} steps lost, the journal {sum(lost)}")
    expect(sum(lost) <= scenario.lost, f"{sum(lost)} steps lost, at most {scenario.lost} may be")
    expect(min(lost, default=0) >= 0, f"an attempt began above the step that was reached: {lost}")
    expect(
        is_as_expected(by, scenario.requeued_by, after_grace(site)),
        f"requeued by {by}, expected {scenario.requeued_by}",
    )
    expect(not run.entries("requeue_failed"), f"errors: {run.entries('requeue_failed')}")
    expect(run.weights() == reference.weights() != {}, "the weights differ from the uninterrupted run's")
    expect(run.losses() == reference.losses(), "the losses differ from the uninterrupted run's")
    for stage in ("train", *later):
        state = run.state(run.job_id(stage))
        expect(state == "COMPLETED" or (state == "PREEMPTED" and site.leaving_is_preemption), f"{stage} is {state}")
    ended = run.entries("stage_finished", stage="train")
    expect(len(ended) == 1, f"train has finished {len(ended)} times")
    if not scenario.is_resumed:
        for stage in later:
            started = run.entries("stage_started", stage=stage)
            starts = scenario.evaluate_starts if stage == "evaluate" else 1
            expect(len(started) == starts, f"{stage} was started {len(started)} times")
            expect(all(s.time > e.time for s in started for e in ended), f"{stage} was started before training ended")
    submitted = {entry.job_id for entry in run.entries("submitted")}
    expect(run.jobs_in_slurm() == submitted, f"Slurm has the jobs {run.jobs_in_slurm()}, the journal {submitted}")
    wait = run.seconds_to_next_stage()
    is_soon = scenario.is_resumed or (wait or 0) < scenario.longest_wait
    expect(is_soon, f"the {later[0]} stage started {wait} s after the training's end")
    verified = verify(run.paths.checkpoints, read_journal(run.paths.journal))
    is_counted = (
        bool(verified.records.epochs) or "pretraining_dataset" in spec.axolotl
    )  # nobody knows a stream's length
    expect(verified.records.steps == scenario.steps and is_counted, f"the ledgers say {verified.records}")
    return [*found, *verified.problems, *mlflow_problems(run, reference)]


def mlflow_problems(run: Run, reference: Run) -> list[str]:
    """How MLflow differs from the run. It must have one run for all attempts, and every logged loss once."""
    from mlflow import MlflowClient

    client, spec = MlflowClient(run.world.tracking_uri), RunSpec.load(run.paths.run_dir)
    experiment = client.get_experiment_by_name(spec.regrow.mlflow.experiment)
    runs = client.search_runs([experiment.experiment_id], f"tags.`{RUN_UUID_TAG}` = '{spec.run_uuid}'")
    if len(runs) != 1:
        return [f"{len(runs)} runs in MLflow"]
    (found,) = runs
    points = [(point.step, point.value) for point in client.get_metric_history(found.info.run_id, "loss")]
    attempts = [each for each in attempt_times(read_journal(run.paths.journal)) if each.stage == "train"]
    tags = found.data.tags
    pairs = {
        "status": (found.info.status, "FINISHED"),
        "losses": (points, sorted(reference.losses().items())),
        "restarts": (tags["regrow.restarts"], str(len(attempts) - 1)),
        "steps lost": (tags["regrow.steps_lost"], str(sum(run.steps_lost()))),
        "attempts without a tag": ({f"attempt/{each.name}" for each in attempts} - tags.keys(), set()),
        "drift": ([key for key in tags if key.startswith("drift/") and not key.startswith("drift/git.")], []),
    }
    return [
        f"MLflow has {what} {there}, the run has {expected}; hint: regrow sync {run.paths.run_dir} posts what is missing"
        for what, (there, expected) in pairs.items()
        if there != expected
    ]
