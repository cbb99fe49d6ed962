"""The base of all that is resolved and written down, and pydantic's findings in the words of those who wrote it by hand."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.spec.errors import ConfigError, nearest


class Strict(BaseModel):
    """Immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def explained(error: ValidationError, model: type[BaseModel], place: str) -> ConfigError:
    """A pydantic error as one line per finding, each with its dotted key under `place`."""
    return ConfigError("\n".join(_line(dict(detail), model, place) for detail in error.errors()))


def _line(detail: dict[str, Any], model: type[BaseModel], place: str) -> str:
    location: Sequence[str | int] = detail["loc"]
    key = ".".join([place, *map(str, location)] if place else map(str, location))
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key; {nearest(str(location[-1]), _fields_at(model, location[:-1]))}"
    return f"{key}: found {detail['input']!r}; {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Field names of the model that stands at a location inside `model`."""
    for part in location:
        if isinstance(part, str):
            model = _model_of(model.model_fields[part].annotation)
    return list(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_model_of(part) for part in annotation.__args__ if part is not type(None) and part is not Ellipsis)
