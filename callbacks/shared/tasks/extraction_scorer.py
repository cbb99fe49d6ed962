"""Scores extractions: presence, sets of names, fields; and tells invented names from confused and missed ones."""

from collections.abc import Sequence

from callbacks.shared.args import ExtractionTask
from callbacks.shared.tasks.extraction import (
    Case,
    case_columns,
    keyword_rule_ratio,
    normalise,
    parse_case,
    ratios,
)
from callbacks.shared.tasks.verdict import About, Ratio, Row, Scorer, Verdict

PRESENCE_F1 = "gen_offender_presence_f1"
RULE = "gen_keyword_rule_presence_f1"


class ExtractionScorer(Scorer):
    """An answer is a JSON object with one list of flat objects; an empty list means nobody."""

    def __init__(self, task: ExtractionTask) -> None:
        self.task = task
        self.about = About(
            headline=PRESENCE_F1,
            metrics=tuple(ratios([], task)),
            labels={
                "gen_json_parse_rate": "parse rate",
                PRESENCE_F1: "presence F1",
                RULE: "keyword rule's F1",
                "gen_offender_name_set_f1": "name-set F1",
                "gen_all_fields_exact_match_rate": "exact match",
            },
            right="presence right",
            question="is there an offender",
            classes=(("somebody", "nobody"), ("somebody", "nobody", "unparsed")),
            kinds={
                "names_invented": "names that are not in the input",
                "names_wrong": "names that are in the input, but not expected",
                "names_missed": "expected names that the answer does not have",
            },
            references=(RULE,),
        )

    def judge(self, row: Row) -> Verdict:
        case = parse_case(row["expected"], row["generated"], self.task)
        invented, wrong, missed = _names(case, row["input"])
        errors = _errors(case, invented, wrong, missed, bool(row.get("is_cut")))
        expected, generated = case.presence
        return Verdict(
            shares={**ratios([case], self.task), **self._rule(row, case)},
            is_right=expected == generated,
            errors=errors,
            severity=_severity(case, invented, wrong, missed, errors),
            expected="somebody" if expected else "nobody",
            said="unparsed" if case.generated is None else "somebody" if generated else "nobody",
            counts={"names_invented": len(invented), "names_wrong": len(wrong), "names_missed": len(missed)},
            columns=case_columns(case),
        )

    def _rule(self, row: Row, case: Case) -> dict[str, Ratio]:
        if not self.task.keywords:
            return {}
        return {RULE: keyword_rule_ratio(row["input"], case.expected, self.task)}


def _names(case: Case, article: str) -> tuple[list[str], list[str], list[str]]:
    """Generated names that are not in the article; that are there, but are not expected; expected names that are missing."""
    (expected, generated), text = case.name_sets, normalise(article)
    invented = sorted(name for name in generated - expected if name not in text)
    return invented, sorted(generated - expected - set(invented)), sorted(expected - generated)


def _errors(
    case: Case, invented: Sequence[str], wrong: Sequence[str], missed: Sequence[str], is_cut: bool
) -> list[str]:
    if case.generated is None:
        return ["cut off" if is_cut else "not the JSON of an answer"]
    kinds = (("invented", invented), ("not an offender", wrong), ("missed", missed))
    found = [f"{kind}: {', '.join(names)}" for kind, names in kinds if names]
    return found or ([] if case.is_exact else ["other fields"])


def _severity(
    case: Case, invented: Sequence[str], wrong: Sequence[str], missed: Sequence[str], errors: Sequence[str]
) -> float:
    """False accusations are worst, then missed offenders, then other fields."""
    names = 100 * len(invented) + 50 * len(wrong) + 10 * len(missed)
    return names + (20 if case.generated is None else 1 if errors else 0)
