"""Scores JSON answers: whether they can be read, whether they satisfy a schema, and which keys are right."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from callbacks.shared.args import JsonTask
from callbacks.shared.tasks.answers import after_thoughts
from callbacks.shared.tasks.extraction import whole_values
from callbacks.shared.tasks.verdict import About, Row, Scorer, Verdict

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

PARSED, VALID, EXACT, KEY_MATCH = "gen_json_parse_rate", "gen_schema_valid_rate", "gen_exact_match", "gen_key_match"
KEY = f"{KEY_MATCH}/"
_MISSING = object()


class JsonScorer(Scorer):
    """An answer is a JSON object or array: the last whole one after the model's thoughts."""

    def __init__(self, task: JsonTask) -> None:
        self._validator = _validator(task.json_schema) if task.json_schema is not None else None
        named = (task.json_schema or {}).get("properties")
        valid = [VALID] if self._validator else []
        keys = [f"{KEY}{key}" for key in named] if isinstance(named, dict) else []
        self.about = About(
            headline=EXACT,
            metrics=(PARSED, *valid, KEY_MATCH, EXACT, *keys),
            labels={PARSED: "parse rate"}
            | dict.fromkeys(valid, "schema valid")
            | {KEY_MATCH: "keys right", EXACT: "exact"},
            right="exactly right",
            kinds={
                "wrong_keys": "keys whose value is not the expected one",
                "other_keys": "keys that are not expected",
            },
        )

    def judge(self, row: Row) -> Verdict:
        expected, generated = value_of(row["expected"]), value_of(row["generated"])
        if expected is _MISSING:
            raise ValueError(
                f"the expected text ({len(row['expected'])} characters) holds no whole JSON object or array"
            )
        if self._validator and (fault := next(self._validator.iter_errors(expected), None)):
            raise ValueError(f"the expected JSON does not satisfy the schema at {fault.json_path}: {fault.validator}")
        parsed, is_right = generated is not _MISSING, _same(expected, generated)
        keys = {key: _same(value, _at(generated, key)) for key, value in _items(expected).items()}
        others = sorted(_items(generated).keys() - keys.keys())
        shares = {PARSED: (float(parsed), 1.0), EXACT: (float(is_right), 1.0)}
        shares[KEY_MATCH] = float(sum(keys.values())), float(len(keys))
        shares |= {f"{KEY}{key}": (float(right), 1.0) for key, right in keys.items()}
        if self._validator:
            shares[VALID] = (float(parsed and self._validator.is_valid(generated)), 1.0)
        wrong = sorted(key for key, right in keys.items() if not right)
        said = {"wrong": wrong, "not expected": others}
        errors = [f"{what}: {', '.join(names)}" for what, names in said.items() if names]
        if not parsed:
            errors = ["cut off" if row.get("is_cut") else "not JSON"]
        elif not errors and not is_right:
            errors = ["another value"]
        severity = 1000.0 if not parsed else float(10 * len(wrong) + len(others) + (not is_right))
        counts = {"wrong_keys": len(wrong) if parsed else 0, "other_keys": len(others)}
        return Verdict(shares, is_right, errors, severity, counts=counts, columns={"parsed": parsed, "exact": is_right})


def value_of(text: str) -> Any:
    """The last whole JSON object or array of a text, after its thoughts; `_MISSING`: there is none."""
    rest = after_thoughts(text)
    try:
        whole = json.loads(rest)
        return whole if isinstance(whole, dict | list) else _MISSING
    except ValueError:
        found = list(whole_values(rest))
        return found[-1] if found else _MISSING


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _items(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _at(value: Any, key: str) -> Any:
    return _items(value).get(key, _MISSING)


def _validator(schema: Mapping[str, Any]) -> "Validator":
    """ValueError if the schema is none."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    cls = validator_for(schema)
    try:
        cls.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"regrow.task.json_schema is no JSON schema: {error.message}") from None
    return cls(schema)
