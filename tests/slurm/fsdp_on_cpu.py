"""Lets FSDP2 shard on CPUs, so that its stops and resumes can be tried without a GPU.

Torch does it, over gloo. But Axolotl asks for a mesh of CUDA devices, and accelerate has FSDP for accelerators alone.
"""

from typing import Any

from accelerate.parallelism_config import ParallelismConfig
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

_mesh, _begin = ParallelismConfig.build_device_mesh, AcceleratorState.__init__


def _mesh_of_cpus(self: ParallelismConfig, device_type: str) -> Any:
    return _mesh(self, "cpu")


def _state_with_fsdp(self: AcceleratorState, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
    """Each further instance takes the distributed type from the process's state again."""
    _begin(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin
    if self.distributed_type == DistributedType.MULTI_CPU and getattr(self, "fsdp_plugin", None) is not None:
        self.distributed_type = DistributedType.FSDP


def allow_fsdp_on_cpus() -> None:
    ParallelismConfig.build_device_mesh = _mesh_of_cpus
    AcceleratorState.__init__ = _state_with_fsdp
