"""What a verb sets off: submit, resume, cancel, the chain of jobs, the run in the foreground."""
