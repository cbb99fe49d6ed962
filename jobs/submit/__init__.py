"""The work behind the commands: submit, resume, cancel, the chain of jobs, the run in the foreground."""
