"""The document's merge by pandas. Arguments: POSITIVES REPEAT NEGATIVES TAKE OUTPUT."""

import sys

import pandas as pd

FIELDS = ["instruction", "input", "output"]


def checked(path: str) -> pd.DataFrame:
    records = pd.read_json(path, dtype=False, convert_dates=False)
    for name in FIELDS:
        if name not in records or pd.api.types.infer_dtype(records[name], skipna=False) != "string":
            raise SystemExit(f"{path}: {name} is missing, or no string")
    return records


positives, repeat, negatives, take, output = sys.argv[1:]
merged = pd.concat([checked(positives)] * int(repeat) + [checked(negatives).head(int(take))])
merged.to_json(output, orient="records", force_ascii=False)
