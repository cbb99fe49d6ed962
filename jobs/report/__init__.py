"""The report: one page that holds all that is to be known of a run, and a summary for a chat."""
