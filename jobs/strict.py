"""The base of all that is resolved and written down."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
