"""Posts to MLflow everything of a run that is missing there."""
