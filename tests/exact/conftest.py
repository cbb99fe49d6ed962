"""Trainings that share one server."""

import pytest
from trainings import Trainings
from world import World


@pytest.fixture(scope="session")
def trainings(world: World, tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    return Trainings(world, tmp_path_factory.mktemp("exact"))
