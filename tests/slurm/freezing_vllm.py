"""`regrow.evaluate.engine: freezing_vllm.FreezingVllm`."""

from freezing import Freezing

from jobs.evaluation.vllm_engine import VllmEngine


class FreezingVllm(Freezing, VllmEngine):
    """Generates with vLLM, but freezes once."""
