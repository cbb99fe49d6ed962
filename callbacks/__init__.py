"""The code that runs inside the training ranks, and the light modules that the jobs also use."""
