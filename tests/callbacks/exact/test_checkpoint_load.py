"""Two ranks that share the weights by FSDP2 go on from a checkpoint with the same bits, whatever form the checkpoint has."""

from pathlib import Path

import pytest
import torch
from ranks import train

SCRIPT = "sharded_training.py"


@pytest.mark.parametrize(
    ("shape", "state_dict"), [("adapter", "FULL_STATE_DICT"), ("model", "SHARDED_STATE_DICT")], ids=str.lower
)
def test_resumed_training_has_the_same_shares(
    shape: str, state_dict: str, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    environment = clean_environment | {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    assert train(SCRIPT, [str(tmp_path), shape, state_dict], environment, ranks=2) == [0, 0]
    for rank in range(2):
        shares = torch.load(tmp_path / f"{rank}.pt")
        assert shares["undisturbed"].keys() == shares["resumed"].keys()
        assert all(torch.equal(share, shares["resumed"][name]) for name, share in shares["undisturbed"].items())
