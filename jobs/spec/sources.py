"""The files of records that a run's prepare stage merges, as `data_prep` reads them."""

from typing import Literal

from callbacks.shared.args import ExtractionTask
from data_prep.curriculum import Source
from data_prep.shape import shape_of
from jobs.spec.paths import from_root
from jobs.spec.run_spec import RunSpec, mappings

Role = Literal["sources", "validation"]
DATASETS: dict[Role, str] = {"sources": "datasets", "validation": "test_datasets"}


def prepared_sources(spec: RunSpec, role: Role) -> list[Source]:
    """The sources of `regrow.prepare`; their records are of the type that the config's data set has."""
    shape = shape_of(next(iter(mappings(spec.axolotl.get(DATASETS[role]))), {}))
    is_json = isinstance(spec.regrow.task, ExtractionTask)
    sections = getattr(spec.regrow.prepare, role)
    return [Source(from_root(section.path), section.repeat, section.take, shape, is_json) for section in sections]
