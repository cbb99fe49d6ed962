"""The document's merge by the standard library. Arguments: POSITIVES REPEAT NEGATIVES TAKE OUTPUT."""

import json
import sys
from pathlib import Path

FIELDS = ("instruction", "input", "output")


def checked(path: str) -> list[dict[str, str]]:
    records: list[dict[str, str]] = json.loads(Path(path).read_bytes())
    for number, record in enumerate(records, start=1):
        for name in FIELDS:
            if not isinstance(record.get(name), str):
                raise SystemExit(f"{path}, record {number}: {name} is missing, or no string")
    return records


positives, repeat, negatives, take, output = sys.argv[1:]
merged = checked(positives) * int(repeat) + checked(negatives)[: int(take)]
# json.dump does not use the C encoder, and would take several times as long.
Path(output).write_text(json.dumps(merged, ensure_ascii=False), encoding="utf-8")
