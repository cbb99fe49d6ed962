"""A sample of `make exact`."""

import pytest
from comparison import differences
from matrix import Case, cases
from sampling import sampled
from trainings import Trainings


@pytest.mark.parametrize("case", sampled(cases(), 2), ids=lambda case: case.name)
def test_training_is_exact(trainings: Trainings, case: Case) -> None:
    assert differences(trainings, case, "sample") == []
