"""The base class of everything that is resolved and written down, and the errors for what does not fit it."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.spec.errors import ConfigError, nearest
from jobs.spec.wrong_value import UNKNOWN_KEY, WrongValue, wrong_values


class Strict(BaseModel):
    """Immutable; an unknown key is an error, and so is a number that is none (NaN, infinity)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def explained(error: ValidationError, content: Any, model: type[BaseModel], place: str) -> ConfigError:
    """A pydantic error as two lines a finding: the dotted key under `place` with what was found, and a hint.

    Args:
        content: what was validated against `model`.
    """
    return ConfigError("\n".join(_lines(wrong, content, model, place) for wrong in wrong_values(error, content)))


def _lines(wrong: WrongValue, content: Any, model: type[BaseModel], place: str) -> str:
    fix = wrong.fix
    if wrong.found == UNKNOWN_KEY:
        fix = nearest(wrong.key[-1], _fields_at(model, wrong.key[:-1], content))
    return f"{'.'.join([place, *wrong.key])}: {wrong.found}" + (f"\nhint: {fix}" if fix else "")


def _fields_at(model: type[BaseModel], key: Sequence[str], content: Any) -> list[str]:
    """Field names of the model that stands at a key inside `model`; of a union, of the member that is meant."""
    for part in key:
        content = content[int(part)] if isinstance(content, list) else content.get(part)
        if part in model.model_fields:  # else the index of a list's item
            members = list(_models_in(model.model_fields[part].annotation))
            model = next((member for member in members if _is_meant(member, content)), members[0])
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)


def _is_meant(member: type[BaseModel], content: Any) -> bool:
    """Whether the content has the mark of a union's member; or, without a mark, a key that only it has."""
    kind = member.model_fields.get("kind")
    if kind is None or not isinstance(content, dict):
        return False
    marked = content.get("kind")
    return (
        kind.default == marked
        if marked
        else any(field.is_required() and name in content for name, field in member.model_fields.items())
    )
