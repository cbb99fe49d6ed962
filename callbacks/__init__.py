"""The code that runs inside the training ranks, and the light modules that the jobs also use."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`from callbacks import attach`, without loading torch for those who need only the light modules."""
    if name == "attach":
        from callbacks.any_trainer import attach

        return attach
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
