"""The document's merge by HF datasets. Arguments: POSITIVES REPEAT NEGATIVES TAKE OUTPUT. The checks are Arrow's cheapest."""

import sys

from datasets import Dataset, Value, concatenate_datasets, load_dataset

FIELDS = ("instruction", "input", "output")


def checked(path: str) -> Dataset:
    records = load_dataset("json", data_files=path, split="train")
    for name in FIELDS:
        if records.features.get(name) != Value("string") or records.data.column(name).null_count:
            raise SystemExit(f"{path}: {name} is missing, or no string")
    return records


positives, repeat, negatives, take, output = sys.argv[1:]
merged = concatenate_datasets([checked(positives)] * int(repeat) + [checked(negatives).select(range(int(take)))])
# HF datasets writes an array only if all records are in a single batch.
merged.to_json(output, lines=False, batch_size=len(merged), force_ascii=False)
