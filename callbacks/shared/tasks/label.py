"""Scores labels: accuracy, and the F1 of each label and their mean."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from callbacks.shared.args import LabelTask
from callbacks.shared.tasks.answers import after_thoughts
from callbacks.shared.tasks.verdict import About, Row, Scorer, Verdict

ACCURACY, MACRO_F1, KNOWN = "gen_accuracy", "gen_macro_f1", "gen_known_label_rate"
F1 = "gen_f1/"
QUOTES = "\"'`「」『』“”‘’"
OTHER = "(another text)"


class LabelScorer(Scorer):
    """An answer is one of several labels. Case, quotes, spaces around it and a full stop at its end do not count."""

    def __init__(self, task: LabelTask) -> None:
        self._known = {label_of(name): name for name in task.labels}
        self._form = f"one of {', '.join(task.labels)}" if task.labels else "a label"
        known = [KNOWN] if self._known else []
        self.about = About(
            headline=MACRO_F1,
            metrics=(ACCURACY, MACRO_F1, *known, *(f"{F1}{name}" for name in task.labels)),
            labels={ACCURACY: "accuracy", MACRO_F1: "macro F1"} | dict.fromkeys(known, "known labels"),
            right="label right",
            question="label",
            classes=(task.labels, (*task.labels, OTHER) if task.labels else ()),
            kinds={"unknown_labels": "answers that are no label"} if self._known else {},
            means={MACRO_F1: F1},
        )

    def for_records(self, rows: Sequence[Row]) -> Scorer:
        if self._known:
            return self
        found = Counter(label_of(row["expected"]) for row in rows)
        return LabelScorer(LabelTask(labels=tuple(name for name, _ in found.most_common() if name)))

    def judge(self, row: Row) -> Verdict:
        expected, generated = self._label(row["expected"]), self._label(row["generated"])
        if expected in ("", OTHER):
            raise ValueError(f"the expected text ({len(row['expected'])} characters) is not {self._form}")
        is_right, is_known = expected == generated, generated not in ("", OTHER)
        concerned = sorted({expected, generated} - {"", OTHER})
        f1 = dict.fromkeys(concerned, (2.0, 2.0) if is_right else (0.0, 1.0))
        shares = {ACCURACY: (float(is_right), 1.0)} | {f"{F1}{name}": share for name, share in f1.items()}
        shares |= {KNOWN: (float(is_known), 1.0)} if self._known else {}
        said = generated or OTHER
        wrong = "cut off" if row.get("is_cut") and not is_known else f"{said} instead of {expected}"
        counts = {"unknown_labels": int(not is_known)} if self._known else {}
        columns = {"label_expected": expected, "label_generated": said}
        return Verdict(
            shares,
            is_right,
            [] if is_right else [wrong],
            float(not is_right) + (not is_known),
            expected,
            said,
            counts,
            columns,
        )

    def _label(self, text: str) -> str:
        """The label of a text, as the config writes it; `OTHER`: it is none of them. Without a list, the text itself."""
        found = label_of(text)
        return self._known.get(found, OTHER) if self._known else found


def label_of(text: str) -> str:
    """A text as a label: after the thoughts, on one line, without quotes and the full stop, in lower case."""
    shown = unicodedata.normalize("NFKC", " ".join(after_thoughts(text).split()))
    return shown.strip(QUOTES + " ").rstrip(".。").strip(QUOTES + " ").casefold()
