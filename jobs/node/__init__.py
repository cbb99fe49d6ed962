"""Inside a job, from its first signal to its exit code."""
