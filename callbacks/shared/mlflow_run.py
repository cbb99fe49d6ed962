"""An MLflow run, and the parts of a projection that are missing in it."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from callbacks.shared.projection import ArtifactFile, DatasetFacts, PointId, Projection, mlflow_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric

T = TypeVar("T")
MOST_METRICS, MOST_OTHERS = 1000, 100
"""MLflow's limits for one `log_batch`: the number of metrics, and of params or tags."""
MOST_OF_A_DIGEST = 36
"""The number of characters that MLflow keeps of a data set's digest."""


class MlflowRun:
    """The content of an MLflow run: looked up once, then updated with each post."""

    def __init__(self, client: "MlflowClient", run_id: str, projection: Projection) -> None:
        self._client, self._run_id = client, run_id
        run = client.get_run(run_id)
        self.experiment_id: str = run.info.experiment_id
        self._params, self._tags, self._status = dict(run.data.params), dict(run.data.tags), run.info.status
        self._datasets = {(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs}
        self._looked_at = 0
        """The number of the projection's points that are certainly in MLflow. Points keep their order."""
        self._files: dict[ArtifactFile, tuple[int, int]] = {}
        """Time and size of each file when it was last checked."""
        self._points: set[PointId] = set()
        for key in {point.key for point in projection.points} & set(run.data.metrics):
            for metric in client.get_metric_history(run_id, key):
                of_summary = PointId(key, metric.step, metric.timestamp)
                self._points |= {of_summary, PointId(key, metric.step, None)}

    def post(self, projection: Projection) -> Counter[str]:
        posted = Counter(
            points=self._post_points(projection),
            params=self._post_params(projection),
            tags=self._post_tags(projection.tags),
            datasets=self._post_datasets(projection),
        )
        self._post_status(projection)
        return posted + Counter(artifacts=self._post_artifacts(projection))

    def _post_points(self, projection: Projection) -> int:
        added = islice(projection.points, self._looked_at, None)
        new = [point for point in added if _as_posted(point) not in self._points]
        for chunk in _chunks(new, MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=[_metric(point, *projection.points[point]) for point in chunk])
        self._looked_at = len(projection.points)
        return len(new)

    def _post_params(self, projection: Projection) -> int:
        from mlflow.entities import Param

        new = [(key, value) for key, value in projection.params.items() if key not in self._params]
        for chunk in _chunks(new, MOST_OTHERS):
            self._client.log_batch(self._run_id, params=[Param(key, value) for key, value in chunk])
            self._params.update(chunk)
        return len(new)

    def _post_tags(self, tags: dict[str, str]) -> int:
        from mlflow.entities import RunTag

        new = [(key, value) for key, value in tags.items() if self._tags.get(key) != value]
        for chunk in _chunks(new, MOST_OTHERS):
            self._client.log_batch(self._run_id, tags=[RunTag(key, value) for key, value in chunk])
            self._tags.update(chunk)
        return len(new)

    def _post_datasets(self, projection: Projection) -> int:
        new = [facts for facts in projection.datasets.values() if _dataset_id(facts) not in self._datasets]
        if new:
            self._client.log_inputs(self._run_id, [_dataset_input(facts) for facts in new])
            self._datasets.update(map(_dataset_id, new))
        return len(new)

    def _post_status(self, projection: Projection) -> None:
        if projection.status == self._status:
            return
        if projection.status == "RUNNING":
            self._client.update_run(self._run_id, status="RUNNING")
        else:
            self._client.set_terminated(self._run_id, projection.status, end_time=int(1000 * projection.ended_at))
        self._status = projection.status

    def _post_artifacts(self, projection: Projection) -> int:
        """Post the files that are new or changed. A tag holds the digest of each posted file."""
        stats = {artifact: artifact.path.stat() for artifact in projection.artifacts if artifact.path.is_file()}
        files = {artifact: (stat.st_mtime_ns, stat.st_size) for artifact, stat in stats.items()}
        digests = {each: _digest(each.path) for each in files if files[each] != self._files.get(each)}
        new = {artifact: digest for artifact, digest in digests.items() if self._tags.get(_tag(artifact)) != digest}
        for artifact, digest in new.items():
            self._client.log_artifact(self._run_id, str(artifact.path), artifact.folder or None)
            self._post_tags({_tag(artifact): digest})
        self._files = files
        return len(new)


def _as_posted(point: PointId) -> PointId:
    """The point with its time in whole milliseconds, as MLflow stores it."""
    return point if point.time is None else PointId(point.key, point.step, int(1000 * point.time))


def _metric(point: PointId, time: float, value: float) -> "Metric":
    from mlflow.entities import Metric

    return Metric(point.key, value, int(1000 * time), point.step)


def _dataset_id(facts: DatasetFacts) -> tuple[str, str]:
    return Path(facts.path).name, facts.sha256[:MOST_OF_A_DIGEST]


def _dataset_input(facts: DatasetFacts) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source, profile = json.dumps({"uri": facts.path}), json.dumps({"num_rows": facts.records})
    dataset = Dataset(*_dataset_id(facts), source_type="local", source=source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", facts.role)])


def _tag(artifact: ArtifactFile) -> str:
    return mlflow_key(f"artifact/{artifact.folder}/{artifact.path.name}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _chunks(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (items[first : first + most] for first in range(0, len(items), most))
