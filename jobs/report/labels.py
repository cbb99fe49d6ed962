"""The names of an evaluated step's scores in the report, its summary and on the terminal."""

from jobs.evaluation.scores import RULE

COLUMNS = {
    "eval_loss": "eval loss",
    "gen_json_parse_rate": "parse rate",
    "gen_offender_presence_f1": "presence F1",
    RULE: "keyword rule's F1",
    "gen_offender_name_set_f1": "name-set F1",
    "gen_all_fields_exact_match_rate": "exact match",
}
"""Metric → label, in the order of the tables."""
GENERATION = {name: label for name, label in COLUMNS.items() if name.startswith("gen_") and name != RULE}
"""The scores of the model's answers, without the loss and the keyword rule."""
