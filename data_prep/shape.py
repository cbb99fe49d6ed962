"""Where the records of a file keep what is asked and what is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from data_prep.alpaca_record import Record, RecordError, json_type, parse_object, parse_record


class Shape(Protocol):
    """One way to keep question and answer in a JSON object."""

    def record(self, raw: bytes) -> Record:
        """The record in these bytes.

        Raises:
            RecordError: they are no record of this shape.
        """


@dataclass(frozen=True)
class Alpaca:
    """Three fields of text; `input` may be absent where it has another name than Alpaca's own, or none."""

    instruction: str = "instruction"
    input: str | None = "input"
    output: str = "output"

    def record(self, raw: bytes) -> Record:
        if self == ALPACA:
            return parse_record(raw)
        fields = parse_object(raw)
        return Record(
            instruction=_text(fields, self.instruction),
            input=_text(fields, self.input) if self.input and fields.get(self.input) is not None else "",
            output=_text(fields, self.output),
        )


@dataclass(frozen=True)
class Messages:
    """A list of turns. The last answer of the model is the output, the turns before it are the input."""

    field: str = "messages"
    role: str = "role"
    content: str = "content"
    answering: tuple[str, ...] = ("assistant", "gpt", "model")

    def record(self, raw: bytes) -> Record:
        turns = _member(parse_object(raw), self.field)
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            raise RecordError(f'"{self.field}" must be a list of objects, found {json_type(turns)}')
        answers = [number for number, turn in enumerate(turns) if turn.get(self.role) in self.answering]
        if not answers:
            roles = ", ".join(sorted({str(turn.get(self.role)) for turn in turns})) or "no turns"
            raise RecordError(f'"{self.field}" has no turn of {" or ".join(self.answering)} (found: {roles})')
        asked = "\n".join(self._said(turn) for turn in turns[: answers[-1]])
        return Record(instruction="", input=asked, output=self._said(turns[answers[-1]]))

    def _said(self, turn: Mapping[str, Any]) -> str:
        """The text of a turn; of a turn in parts, the text of those that have some."""
        said = _member(turn, self.content)
        if isinstance(said, list):
            return "".join(str(part.get("text", "")) for part in said if isinstance(part, dict))
        if not isinstance(said, str):
            raise RecordError(f'"{self.content}" of a turn must be a string, found {json_type(said)}')
        return said


@dataclass(frozen=True)
class AnyObject:
    """Objects of which only Axolotl knows the fields; their records have no text."""

    def record(self, raw: bytes) -> Record:
        parse_object(raw)
        return Record(instruction="", input="", output="")


ALPACA, ANY_OBJECT = Alpaca(), AnyObject()
SHAPES: dict[str, Shape] = {"alpaca": ALPACA, "messages": Messages(), "any": ANY_OBJECT}
"""The usual ones, by the name that a person types."""


def shape_of(dataset: Mapping[str, Any]) -> Shape:
    """The shape of the records that a data set of an Axolotl config names, by its `type`. Values that Axolotl does not take
    count as absent: its schema names them."""
    kind = dataset.get("type")
    if isinstance(kind, Mapping):
        return Alpaca(
            _written(kind, "field_instruction") or ALPACA.instruction,
            _written(kind, "field_input") or ALPACA.input,
            _written(kind, "field_output") or ALPACA.output,
        )
    if kind == "alpaca":
        return ALPACA
    if kind == "chat_template":
        names, roles = dataset.get("message_property_mappings"), dataset.get("roles")
        answering = roles.get("assistant") if isinstance(roles, Mapping) else None
        return Messages(
            _written(dataset, "field_messages") or Messages.field,
            _written(names, "role") or _written(dataset, "message_field_role") or Messages.role,
            _written(names, "content") or _written(dataset, "message_field_content") or Messages.content,
            tuple(map(str, answering if isinstance(answering, list) else [])) or Messages.answering,
        )
    return ANY_OBJECT


def _written(names: object, key: str) -> str | None:
    """The text at a key of a mapping; None: no text stands there, or this is no mapping."""
    value = names.get(key) if isinstance(names, Mapping) else None
    return value if isinstance(value, str) else None


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = _member(fields, name)
    if not isinstance(value, str):
        raise RecordError(f'"{name}" must be a string, found {json_type(value)}')
    return value


def _member(fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise RecordError(f'field "{name}" is missing (found: {", ".join(fields) or "no fields"})')
    return fields[name]
