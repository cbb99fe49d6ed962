"""What an answer is, and how it is scored: one file a kind of task. Light; ranks and jobs score with the same code."""
