"""The document's merge by polars. Arguments: POSITIVES REPEAT NEGATIVES TAKE OUTPUT."""

import sys

import polars as pl

FIELDS = ("instruction", "input", "output")


def checked(path: str) -> pl.DataFrame:
    records = pl.read_json(path)
    for name in FIELDS:
        if records.schema.get(name) != pl.String or records[name].null_count():
            raise SystemExit(f"{path}: {name} is missing, or no string")
    return records


positives, repeat, negatives, take, output = sys.argv[1:]
pl.concat([checked(positives)] * int(repeat) + [checked(negatives).head(int(take))]).write_json(output)
