"""Imported once by the server from which every training is forked: the imports take longer than a training."""

import axolotl.cli.config
import axolotl.cli.train
import axolotl.core.builders
import axolotl.monkeypatch.lora_kernels  # noqa: F401
import deepspeed  # noqa: F401
import numpy as np
from axolotl.utils.samplers.multipack import allocate_sequentially, pack_parallel

import callbacks.plugin  # noqa: F401

LENGTHS = np.array([3, 5], dtype=np.int32)  # numba compiles the packing at its first call, for ten seconds
pack_parallel(LENGTHS, bin_capacity=8, group_size=100, bin_size=8, num_processes=1)
allocate_sequentially(LENGTHS, rank=0, bin_capacity=8, num_ranks=1)
