"""What the checks share: findings and their places, the questions to the node's Python, the models of memory and parameters."""
