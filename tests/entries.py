"""Makes events by their names, as they stand in a journal. Fields that a test does not set get a plain value."""

from collections.abc import Iterable
from typing import Any, get_args, get_origin

import msgspec

from callbacks.shared.events import KINDS, Event


def entry(time: float, event: str, writer: str = "train-2-0-rank0", **fields: Any) -> Event:
    """An event as a reader of the journal gets it, e.g. `entry(3, "saved", step=7)`."""
    return fresh(event, time=time, writer=writer, **fields)


def fresh(event: str, **fields: Any) -> Event:
    """An event as its writer makes it."""
    kind = KINDS[event]
    required = {field.name: field.type for field in msgspec.structs.fields(kind) if field.required}
    return kind(**{name: _plain(found) for name, found in required.items()} | fields)


def _plain(found: Any) -> Any:
    """A plain value of a type: None if the type allows it, the first value of a Literal, or else the type's empty value."""
    if type(None) in get_args(found):
        return None
    return get_args(found)[0] if "Literal" in str(get_origin(found)) else (get_origin(found) or found)()


def named(entries: Iterable[Event], *names: str) -> list[Any]:
    """The events with these names, in their order."""
    return [entry for entry in entries if entry.__struct_config__.tag in names]
