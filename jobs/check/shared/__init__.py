"""Modules that several checks use: findings and their places, questions to the node's Python, the memory model."""
