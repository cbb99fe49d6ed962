"""The parts of the memory model that can be tested without a GPU: shares, terms, the suggested change."""

from dataclasses import replace

import pytest

from jobs.check.memory import nearest_fit
from jobs.check.shared.memory_model import Model, Settings, checkpoint_bytes, host_bytes_at_load, memory_table

A100 = 80 * 2**30
QWEN = Model(
    parameters=30_532_122_624, trainable=642_514_944, trainable_float32=642_514_944, has_adapter=True, float32=12_582_912,
    linear=905_969_664, largest_layer=623_120_640, wrapped_per_layer=603_979_776, hidden=2048, layers=48, vocabulary=151_936,
    heads=32, kv_heads=4, head_dim=128, mlp_width=8 * 768,
)  # fmt: skip
ZERO2 = Settings(
    ranks=4,
    has_gpu=True,
    dtype="bfloat16",
    uses_deepspeed=True,
    stage=2,
    micro_batch=1,
    sequence=1536,
    checkpointing=True,
)


def test_zero_shards_what_its_stage_says() -> None:
    table = {stage: memory_table(QWEN, replace(ZERO2, stage=stage)) for stage in range(4)}
    for term, first in (("optimizer", 1), ("master copies", 1), ("gradients", 2), ("weights", 3)):
        whole = table[0][term]
        for stage in range(4):
            assert table[stage][term] == pytest.approx(whole / 4 if stage >= first else whole, rel=1e-6), (term, stage)


def test_weights_are_61_gb_and_not_15_under_zero_2() -> None:
    assert memory_table(QWEN, ZERO2)["weights"] == 2 * (30_532_122_624 + 642_514_944)


def test_offload_leaves_the_optimizer_to_the_host() -> None:
    offloaded = replace(ZERO2, offload_optimizer=True)
    assert memory_table(QWEN, offloaded)["optimizer"] == memory_table(QWEN, offloaded)["master copies"] == 0
    assert host_bytes_at_load(QWEN, offloaded) > host_bytes_at_load(QWEN, ZERO2) == 4 * 2 * 30_532_122_624


def test_checkpointing_and_smaller_batches_need_less() -> None:
    plain = replace(ZERO2, checkpointing=False)
    assert memory_table(QWEN, plain)["activations"] > 5 * memory_table(QWEN, ZERO2)["activations"]
    assert memory_table(QWEN, replace(ZERO2, micro_batch=2))["logits"] == 2 * memory_table(QWEN, ZERO2)["logits"]


def test_nearest_change_that_fits_is_named() -> None:
    assert "zero3.json" in nearest_fit(QWEN, ZERO2, A100)
    assert "gradient_checkpointing: true" in nearest_fit(
        QWEN, replace(ZERO2, stage=3, checkpointing=False, micro_batch=4), A100
    )
    assert "micro_batch_size: 8" in nearest_fit(QWEN, replace(ZERO2, stage=3, micro_batch=64), A100)
    assert "more or larger GPUs" in nearest_fit(QWEN, replace(ZERO2, ranks=1), A100 // 4)


def test_checkpoint_holds_weights_states_and_masters() -> None:
    assert checkpoint_bytes(QWEN, ZERO2) == 642_514_944 * (2 + 8 + 4)
