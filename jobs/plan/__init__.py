"""`regrow plan`: how long a training will take on a site that takes its nodes away."""
