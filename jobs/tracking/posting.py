"""Results in MLflow: a nested run for each model, under the run that trained it; a tag marks the best model."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from callbacks.shared.mlflow_run import MlflowRun
from callbacks.shared.projection import ArtifactFile, PointId, Projection, mlflow_key
from callbacks.shared.tracking import found_or_created
from jobs.evaluation.parts import records_file, required_scorer, spec_of_model, with_settings_of
from jobs.evaluation.results import ModelResult, best_of
from jobs.evaluation.scores import judge
from jobs.spec.paths import EvaluationPaths
from jobs.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient

EVALUATION_TAG = "regrow.evaluation"
"""Identifies a nested run: the evaluation's run_uuid and the model's name. A later report finds the nested run by this tag."""
BEST_TAG = "regrow.best_checkpoint"
SCORES_TAG = "regrow.scores"
"""A hash of the posted scores file."""
TABLE = "predictions.json"
TABLE_TAG = "mlflow.loggedArtifacts"
TABLE_ROWS = 10_000
"""If there are more records, the table has only the worst ones, because a browser loads the whole table. predictions.jsonl
beside it has all records."""


def post_results(spec: RunSpec, results: list[ModelResult]) -> int:
    """Post every model's results that MLflow does not have yet; the number of these models.

    Raises:
        Exception: any error of MLflow.
    """
    groups: dict[str, list[ModelResult]] = {}
    posted = 0
    for result in results:
        groups.setdefault(spec_of_model(spec, result.model).run_uuid, []).append(result)
    for group in groups.values():
        trained_by, best = spec_of_model(spec, group[0].model), best_of(spec, group)
        client, parent_id = trained_by.tracked_run.attach()
        for result in group:
            posted += _Posting(spec, result, is_best=result is best if len(group) > 1 else None).post(client, parent_id)
        if len(group) > 1:
            client.set_tag(parent_id, BEST_TAG, best.model.name)
    return posted


class _Posting:
    """One model's nested run."""

    def __init__(self, spec: RunSpec, result: ModelResult, is_best: bool | None) -> None:
        self.spec, self.result, self.is_best = spec, result, is_best

    def post(self, client: "MlflowClient", parent_id: str) -> bool:
        """Post the model's results. False: MLflow already has these scores."""
        run_id = self._run_id(client, parent_id)
        tags_there, paths = client.get_run(run_id).data.tags, self.spec.paths.evaluation(self.result.model.name)
        digest = hashlib.sha256(paths.scores.read_bytes()).hexdigest()[:16]
        if self.is_best is not None:  # the best model may have changed since the last post
            client.set_tag(run_id, BEST_TAG, str(self.is_best).lower())
        if tags_there.get(SCORES_TAG) == digest:
            return False
        wanted = self._projection(paths)
        MlflowRun(client, run_id, wanted).post(wanted)
        if TABLE_TAG not in tags_there:  # a second one would be appended
            client.log_table(run_id, self._table(), TABLE)
        client.set_tag(run_id, SCORES_TAG, digest)  # last, when everything else is posted
        return True

    def _run_id(self, client: "MlflowClient", parent_id: str) -> str:
        key = f"{self.spec.run_uuid}/{self.result.model.name}"
        experiment_id = client.get_run(parent_id).info.experiment_id
        tags = {"mlflow.parentRunId": parent_id, EVALUATION_TAG: key}
        name, started_ms = f"{self.spec.name}/{self.result.model.name}", int(1000 * self.result.finished_at)
        return found_or_created(client, experiment_id, EVALUATION_TAG, tags, name, started_ms)

    def _projection(self, paths: EvaluationPaths) -> Projection:
        """The content of the nested run. Scores that are computed again stand beside the old ones."""
        time, step = self.result.finished_at, self.result.model.step or 0
        return Projection(
            points={
                PointId(mlflow_key(f"evaluate/{key}"), step, time): (time, value)
                for key, value in self._metrics().items()
            },
            params={key: str(value) for key, value in self._params().items()},
            artifacts=dict.fromkeys([ArtifactFile(paths.predictions, ""), ArtifactFile(paths.scores, "")], time),
            status="FINISHED",
            ended_at=time,
        )

    def _metrics(self) -> dict[str, float]:
        """Each metric, its interval as `<metric>/low` and `/high`, the number of each kind of error, and the speed."""
        scores = self.result.scores
        values: dict[str, float | None] = {"gen_records": scores["records"], "cut_off": scores["cut_off"]}
        for name, interval in scores["metrics"].items():
            values |= {name: interval["value"], f"{name}/low": interval["low"], f"{name}/high": interval["high"]}
        values |= scores["speed"]
        values |= {kind: counts["number"] for kind, counts in scores["counts"].items()}
        return {key: value for key, value in values.items() if value is not None}  # 0/0, or not measured

    def _params(self) -> Mapping[str, Any]:
        settings, model = self.spec.regrow.evaluate, self.result.model
        return {
            "model": model.path,
            "records": str(records_file(self.spec)),
            **settings.model_dump(include={"shards", "token_budget", "max_new_tokens", "temperature", "top_p"}),
            "seed": with_settings_of(spec_of_model(self.spec, model), self.spec).axolotl.get("seed"),
        }

    def _table(self) -> dict[str, list[Any]]:
        judged = list(enumerate(judge(self.result.rows, required_scorer(self.spec).for_records(self.result.rows))))
        if len(judged) > TABLE_ROWS:
            judged = sorted(judged, key=lambda each: -each[1].severity)[:TABLE_ROWS]
        rows = [{"record": number + 1, "errors": "; ".join(each.errors), **each.row} for number, each in judged]
        return {key: [str(row[key]) if isinstance(row[key], list) else row[key] for row in rows] for key in rows[0]}
