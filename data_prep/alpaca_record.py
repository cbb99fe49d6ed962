"""One Alpaca-style record: its three fields, the object in its `output`, and the error for what is not a record."""

from typing import Any

import msgspec

_FIELDS = ("instruction", "input", "output")


class RecordError(ValueError):
    """A file does not hold records. The message names the file, the record (from 1), the field and what was found."""


class Record(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One training example; `output` is a JSON object as text."""

    # Unknown fields are forbidden for the fast decoder only: it would skip them without checking their UTF-8.
    # `_checked_record` takes a record that has some, and decodes everything.
    instruction: str
    input: str
    output: str


_RECORD = msgspec.json.Decoder(Record)
ANYTHING = msgspec.json.Decoder(Any)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
# msgspec's errors (not ValueErrors up to 0.21), those of UTF-8, and brackets nested without end.
UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def parse_record(raw: bytes) -> Record:
    """A record from its bytes; RecordError if they are not a record."""
    try:
        return _RECORD.decode(raw)
    except UNDECODABLE:
        return _checked_record(raw)


def _checked_record(raw: bytes) -> Record:
    """The record that the fast decoder rejected: it has further fields, or RecordError says what is wrong."""
    fields = parse_object(raw)
    for name in _FIELDS:
        if name not in fields:
            raise RecordError(f'field "{name}" is missing (found: {", ".join(fields) or "no fields"})')
        if not isinstance(fields[name], str):
            raise RecordError(f'"{name}" must be a string, found {json_type(fields[name])}')
    return Record(**{name: fields[name] for name in _FIELDS})


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object from its bytes; RecordError if they are none."""
    if not raw:
        raise RecordError("there is nothing between two commas, or after the last one")
    try:
        fields = ANYTHING.decode(raw)
    except UNDECODABLE as error:
        raise RecordError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RecordError(f"must be an object, found {json_type(fields)}")
    return fields


def decoded_output(record: Record) -> dict[str, Any]:
    """The JSON object in `output`; RecordError if there is none."""
    try:
        return _OBJECT.decode(record.output)
    except msgspec.ValidationError as error:
        raise RecordError(f'"output" must hold a JSON object: {error}') from error
    except UNDECODABLE as error:
        raise RecordError(f'"output" is not JSON: {error}') from error


def json_type(value: object) -> str:
    """The name of a decoded value's type in an error message: Python's, but null for None."""
    return "null" if value is None else type(value).__name__
