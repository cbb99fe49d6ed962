"""What MLflow lacks of a run, and how it gets there."""
