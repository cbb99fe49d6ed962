"""`regrow.evaluate.engine: freezing_engine.FreezingEngine`."""

from freezing import Freezing

from jobs.evaluation.transformers_engine import TransformersEngine


class FreezingEngine(Freezing, TransformersEngine):
    """Generates with transformers, but freezes once."""
