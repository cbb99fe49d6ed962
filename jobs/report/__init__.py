"""The report: one page with everything about a run, and a summary for a chat."""
