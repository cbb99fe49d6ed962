"""The base class of everything that is resolved and written down, and the errors for what does not fit it."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.spec.errors import ConfigError, nearest
from jobs.spec.wrong_value import UNKNOWN_KEY, WrongValue, wrong_values


class Strict(BaseModel):
    """Immutable; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def explained(error: ValidationError, content: Any, model: type[BaseModel], place: str) -> ConfigError:
    """A pydantic error as two lines a finding: the dotted key under `place` with what was found, and a hint.

    Args:
        content: what was validated against `model`.
    """
    return ConfigError("\n".join(_lines(wrong, model, place) for wrong in wrong_values(error, content)))


def _lines(wrong: WrongValue, model: type[BaseModel], place: str) -> str:
    fix = wrong.fix
    if wrong.found == UNKNOWN_KEY:
        fix = nearest(wrong.key[-1], _fields_at(model, wrong.key[:-1]))
    return f"{'.'.join([place, *wrong.key])}: {wrong.found}" + (f"\nhint: {fix}" if fix else "")


def _fields_at(model: type[BaseModel], key: Sequence[str]) -> list[str]:
    """Field names of the model that stands at a key inside `model`."""
    for part in key:
        if part in model.model_fields:  # else the index of a list's item
            model = _model_of(model.model_fields[part].annotation)
    return list(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_model_of(part) for part in annotation.__args__ if part is not type(None) and part is not Ellipsis)
