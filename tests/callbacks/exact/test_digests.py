"""A digest changes with every bit and every place."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from callbacks.exact.digests import SHARE_WORDS, Differs, Digests, digests_file, digests_of, random_digests


def digest(tensor: torch.Tensor) -> str:
    return digests_of({"x": tensor})["x"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (33, 5), (64, 64)])
def test_equal_tensors_have_one_digest_and_a_changed_value_another(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 100).to(dtype)
    assert digest(tensor) == digest(tensor.clone())
    changed = tensor.clone().reshape(-1)
    changed[-1] = 0 if changed[-1] else 1
    assert digest(changed.reshape(shape)) != digest(tensor)


def test_order_counts_also_across_the_shares_of_a_large_tensor() -> None:
    tensor = torch.arange(4 * SHARE_WORDS + 10, dtype=torch.float32)
    swapped = tensor.clone()
    swapped[0], swapped[2 * SHARE_WORDS] = tensor[2 * SHARE_WORDS], tensor[0]
    assert digest(swapped) != digest(tensor)
    assert digest(tensor.flip(0)) != digest(tensor)


def test_a_view_has_the_digest_of_its_copy() -> None:
    tensor = torch.rand(9, 7)
    assert digest(tensor[1:, 2:]) == digest(tensor[1:, 2:].clone())
    assert digest(tensor.t()) == digest(tensor.t().contiguous())
    assert digest(tensor[3]) == digest(tensor[3].clone())


def test_shape_and_type_count_and_the_meta_device_is_not_read() -> None:
    tensor = torch.zeros(4, 4)
    assert digest(tensor) != digest(tensor.reshape(2, 8))
    assert digest(tensor) != digest(tensor.to(torch.int32))
    assert digest(tensor.to("meta")).endswith("unread")


def test_under_zero3_the_share_of_a_rank_counts_whether_the_parameter_is_whole_or_empty_now() -> None:
    share, whole, empty = torch.rand(8), torch.rand(4, 4), torch.empty(0)
    for parameter in (whole, empty):
        parameter.ds_tensor = share  # type: ignore[attr-defined]
    assert digest(whole) == digest(empty) == digest(share)


def test_random_numbers_are_compared_once_they_are_loaded_and_an_older_checkpoint_has_none(tmp_path: Path) -> None:
    args = SimpleNamespace(process_index=0, world_size=1)
    trainer: Any = SimpleNamespace(args=args, _load_rng_state=lambda checkpoint: None)
    Digests(trainer)
    file = tmp_path / digests_file(0)
    file.write_text(json.dumps({"scheduler": "x"}), encoding="utf-8")
    trainer._load_rng_state(str(tmp_path))
    trainer._load_rng_state(None)
    file.write_text(json.dumps(random_digests()), encoding="utf-8")
    trainer._load_rng_state(str(tmp_path))
    torch.rand(1)
    with pytest.raises(Differs, match="random numbers of torch"):
        trainer._load_rng_state(str(tmp_path))
