"""What the report, its summary and the terminal call the scores of an evaluated step."""

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
"""Those that the model's answers have earned."""
