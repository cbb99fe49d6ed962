"""Login node and stages: one YAML in, dependent jobs out. Torch-free; MLflow is imported only where it is used."""
